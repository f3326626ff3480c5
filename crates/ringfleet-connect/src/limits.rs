//! How often one address may ask for what costs something: a login, its end, a key.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::Once,
};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, HeaderName, request::Parts},
};
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter, clock::Clock, clock::DefaultClock,
};

use crate::trouble::Trouble;

/// Addresses remembered at once; beyond that the idle ones are forgotten.
const MOST_ADDRESSES: usize = 10_000;

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Beginning a login: writes a document.
    Start,
    /// Coming back from the provider: may cost a request of the Auth group.
    Callback,
    /// Trying an operator's key.
    SignIn,
}

/// Per minute and address, and per minute for everybody together: each process counts for itself. Whoever has many addresses
/// could use up what is there for everybody, so that limit is asked last: what is refused anyway does not count against it.
pub(crate) struct Limits {
    each: [DefaultKeyedRateLimiter<IpAddr>; 3],
    /// Of the addresses of a /48, of which one customer may have all 65,536 networks.
    wide: [DefaultKeyedRateLimiter<IpAddr>; 3],
    all: [DefaultDirectRateLimiter; 3],
    clock: DefaultClock,
    /// Where a proxy in front writes the caller's address.
    address_header: Option<HeaderName>,
    /// Told that it tells none.
    warned: Once,
}

impl Limits {
    pub(crate) fn new(address_header: Option<HeaderName>) -> Self {
        let per_minute = |n: u32| Quota::per_minute(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Self {
            each: [20, 30, 10].map(|n| RateLimiter::keyed(per_minute(n))),
            wide: [60, 90, 30].map(|n| RateLimiter::keyed(per_minute(n))),
            all: [300, 600, 60].map(|n| RateLimiter::direct(per_minute(n))),
            clock: DefaultClock::default(),
            address_header,
            warned: Once::new(),
        }
    }

    /// What the caller's address may do.
    pub(crate) fn of_address(&self, act: Act, caller: &Parts) -> Result<(), Trouble> {
        let connection = caller.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let address = self.address(connection, &caller.headers).to_canonical();
        self.count(&self.each[act as usize], network(address, 64))?;
        if address.is_ipv4() { Ok(()) } else { self.count(&self.wide[act as usize], network(address, 48)) }
    }

    /// What everybody together may do.
    pub(crate) fn of_all(&self, act: Act) -> Result<(), Trouble> {
        self.all[act as usize].check().map_err(|not_until| self.too_many(&not_until))
    }

    fn count(&self, limit: &DefaultKeyedRateLimiter<IpAddr>, network: IpAddr) -> Result<(), Trouble> {
        if limit.len() >= MOST_ADDRESSES {
            limit.retain_recent();
        }
        limit.check_key(&network).map_err(|not_until| self.too_many(&not_until))
    }

    fn too_many(&self, not_until: &NotUntil<<DefaultClock as Clock>::Instant>) -> Trouble {
        Trouble::TooMany { wait: not_until.wait_time_from(self.clock.now()) }
    }

    /// Behind a proxy the last entry is the proxy's own word; those before it are the caller's, who may write anything.
    fn address(&self, connection: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let last = self.address_header.as_ref().and_then(|name| {
            let told = headers.get_all(name).iter().next_back();
            let last = told.and_then(|value| read_address(value.to_str().ok()?.rsplit(',').next()?.trim()));
            if last.is_none() {
                self.warned.call_once(|| {
                    tracing::warn!(
                        "a request came without a caller's address in the header that connect.address_header names, and counts as \
                         the proxy's own: if the proxy writes none there, all callers share one limit"
                    );
                });
            }
            last
        });
        last.or(connection).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }
}

/// Some proxies write the port too, and brackets around an IPv6 address.
fn read_address(told: &str) -> Option<IpAddr> {
    let bare = told.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(told);
    bare.parse().ok().or_else(|| told.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// The first `bits` of an IPv6 address: one household or company has a whole /64 at least.
fn network(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> bits)).into(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn caller(connection: &str, forwarded: &str) -> Parts {
        let address: SocketAddr = format!("{connection}:1").parse().unwrap();
        let request = Request::builder().header("x-forwarded-for", forwarded).extension(ConnectInfo(address));
        request.body(()).unwrap().into_parts().0
    }

    fn passes(limits: &Limits, connection: &str, forwarded: &str) -> usize {
        let caller = caller(connection, forwarded);
        (0..100).filter(|_| limits.of_address(Act::SignIn, &caller).is_ok()).count()
    }

    #[test]
    fn an_address_that_asks_too_often_waits_and_another_one_does_not() {
        let limits = Limits::new(None);
        assert_eq!(passes(&limits, "192.0.2.1", "198.51.100.1"), 10);
        assert_eq!(passes(&limits, "192.0.2.1", "198.51.100.2"), 0, "a header that nobody asked for was believed");
        assert_eq!(passes(&limits, "192.0.2.2", ""), 10);
        assert_eq!(passes(&limits, "[2001:db8::1]", "") + passes(&limits, "[2001:db8::2]", ""), 10);
        let told = limits.of_address(Act::SignIn, &caller("192.0.2.1", "")).unwrap_err();
        assert!(matches!(told, Trouble::TooMany { wait } if wait.as_secs() <= 6), "{told:?}");
    }

    #[test]
    fn behind_a_proxy_the_last_word_of_its_header_counts() {
        let limits = Limits::new(Some(HeaderName::from_static("x-forwarded-for")));
        assert_eq!(passes(&limits, "127.0.0.1", "203.0.113.9, 198.51.100.1"), 10);
        assert_eq!(passes(&limits, "127.0.0.1", "203.0.113.10, 198.51.100.1"), 0, "the caller chose its own address");
        assert_eq!(passes(&limits, "127.0.0.1", "198.51.100.2"), 10);
    }

    #[test]
    fn a_proxy_may_write_the_port_too_and_what_can_not_be_read_is_told_of() {
        let limits = Limits::new(Some(HeaderName::from_static("x-forwarded-for")));
        for (n, written) in
            ["203.0.113.9:51000", "203.0.113.10", "[2001:db8:1::1]:443", "[2001:db8:2::1]", "2001:db8:3::1"]
                .iter()
                .enumerate()
        {
            assert_eq!(passes(&limits, "127.0.0.1", &format!("203.0.113.1, {written}")), 10, "{written} is number {n}");
        }
        assert_eq!(passes(&limits, "127.0.0.1", "203.0.113.9:51001"), 0, "another port is another address");
        assert!(!limits.warned.is_completed());
        assert_eq!(passes(&limits, "127.0.0.1", "unknown"), 10);
        assert!(limits.warned.is_completed());
    }

    #[test]
    fn who_has_many_networks_of_ipv6_has_a_limit_for_all_of_them() {
        let limits = Limits::new(None);
        // As far apart as networks of one /48 are.
        let many: usize = (0..10).map(|n| passes(&limits, &format!("[2001:db8:1:{n}000::1]"), "")).sum();
        assert_eq!(many, 30);
        assert_eq!(passes(&limits, "[2001:db8:2::1]", ""), 10);
        let many: usize = (0..10).map(|n| passes(&limits, &format!("[::ffff:192.0.2.{n}]"), "")).sum();
        assert_eq!(many, 100, "addresses of IPv4 were taken for neighbours");
    }

    #[test]
    fn everybody_together_has_a_limit_too_which_no_address_uses_up() {
        let limits = Limits::new(None);
        (0..20).for_each(|n| assert_eq!(passes(&limits, &format!("192.0.2.{n}"), ""), 10));
        for (act, most) in [(Act::Start, 300), (Act::Callback, 600), (Act::SignIn, 60)] {
            let all = (0..2 * most).filter(|_| limits.of_all(act).is_ok()).count();
            // Where this takes long some more become free meanwhile.
            assert!((most..most + most / 10).contains(&all), "{act:?}: {all}");
        }
        let told = limits.of_all(Act::SignIn).unwrap_err();
        assert!(matches!(told, Trouble::TooMany { wait } if wait.as_secs() <= 1), "{told:?}");
    }
}
