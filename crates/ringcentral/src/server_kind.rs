//! What a server address stands for.

use crate::server::ServerUrl;

/// Which server an address names. The answer is about the name only: nothing is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// `https://platform.ringcentral.com` (documented).
    Production,
    /// `https://platform.ringcentral.biz`, for accounts of some partners (seen in the community, not documented).
    Partner,
    /// `https://platform.devtest.ringcentral.com`, which RingCentral took out of its documents in 2024 and 2025.
    Sandbox,
    /// Another host of RingCentral, such as the one of its web pages or of attachments.
    OtherRingCentral,
    /// This machine: a simulator or a tunnel.
    Loopback,
    /// Anybody else's: a proxy, a simulator, a test.
    Own,
}

const PRODUCTION: &str = "https://platform.ringcentral.com";
const PARTNER: &str = "https://platform.ringcentral.biz";
const SANDBOX: &str = "https://platform.devtest.ringcentral.com";

impl ServerUrl {
    /// What the address stands for.
    pub fn kind(&self) -> ServerKind {
        match self.to_string().as_str() {
            PRODUCTION => ServerKind::Production,
            PARTNER => ServerKind::Partner,
            SANDBOX => ServerKind::Sandbox,
            _ if self.is_loopback() => ServerKind::Loopback,
            _ if is_ringcentrals(self.host()) => ServerKind::OtherRingCentral,
            _ => ServerKind::Own,
        }
    }
}

fn is_ringcentrals(host: &str) -> bool {
    let domains = ["ringcentral.com", "ringcentral.biz"];
    domains.iter().any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

impl ServerKind {
    /// What the server is, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Production => "RingCentral's production server",
            Self::Partner => "RingCentral's server for accounts of some partners",
            Self::Sandbox => "RingCentral's sandbox, which is retired",
            Self::OtherRingCentral => "a host of RingCentral, but none that is known to serve the API at this address",
            Self::Loopback => "a server on this machine, such as the simulator",
            Self::Own => "a server of your own, such as a proxy or a simulator",
        }
    }

    /// What is wrong with it and what to do, if anything is.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Self::Sandbox => Some(
                "the sandbox is retired and its host may not resolve; use https://platform.ringcentral.com with a developer \
                 account, and credentials that were made there",
            ),
            Self::OtherRingCentral => Some(
                "use https://platform.ringcentral.com, or the API address that RingCentral or the partner gave for the \
                 account",
            ),
            Self::Production | Self::Partner | Self::Loopback | Self::Own => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_servers_are_told_by_their_whole_address() {
        let cases = [
            ("https://platform.ringcentral.com", ServerKind::Production),
            (" HTTPS://Platform.RingCentral.com:443/ ", ServerKind::Production),
            ("https://platform.ringcentral.biz", ServerKind::Partner),
            ("https://platform.devtest.ringcentral.com", ServerKind::Sandbox),
            ("https://media.ringcentral.com", ServerKind::OtherRingCentral),
            ("https://ringcentral.com", ServerKind::OtherRingCentral),
            ("https://platform.ringcentral.com:8443", ServerKind::OtherRingCentral),
            ("https://platform.ringcentral.com/api", ServerKind::OtherRingCentral),
            ("http://127.0.0.1:8377", ServerKind::Loopback),
            ("https://localhost", ServerKind::Loopback),
            ("https://notringcentral.com", ServerKind::Own),
            ("https://platform.ringcentral.com.evil.example", ServerKind::Own),
            ("https://proxy.example/ringcentral", ServerKind::Own),
        ];
        for (typed, kind) in cases {
            assert_eq!(ServerUrl::try_new(typed).expect(typed).kind(), kind, "{typed}");
        }
    }

    #[test]
    fn retired_and_strange_hosts_are_warned_of_with_the_remedy() {
        for warned in [ServerKind::Sandbox, ServerKind::OtherRingCentral] {
            assert!(warned.warning().is_some_and(|warning| warning.contains(PRODUCTION)), "{warned:?}");
        }
        for good in [ServerKind::Production, ServerKind::Partner, ServerKind::Loopback, ServerKind::Own] {
            assert_eq!(good.warning(), None, "{good:?}");
        }
    }
}
