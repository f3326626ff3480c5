//! How what comes in is looked for, and where the provider may tell of it.

use std::{net::SocketAddr, time::Duration};

use ringcentral::WebhookAddress;
use ringfleet_worker::InboundOptions;

use super::{
    reader::Reader,
    settings::{duration_or_off, optional},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// And where this process listens, if it does.
pub(super) fn read_inbound(r: &mut Reader<'_>) -> Option<(InboundOptions, Option<SocketAddr>)> {
    let poll = duration_or_off(r, "inbound.poll", SECOND, DAY);
    let calls = r.flag("inbound.calls");
    let retention = r.duration("inbound.retention", 60 * SECOND, 366 * DAY);
    let life = r.duration("inbound.subscription_life", 10 * SECOND, 3_650 * DAY);
    let on = !r.text("inbound.listen")?.is_empty();
    let listen = if on { Some(r.address("inbound.listen")?) } else { None };
    let address = |url: &str| {
        let whole = WebhookAddress::try_new(&format!("{}/inbound/1", url.trim_end_matches('/')));
        whole.map(|_| url.trim_end_matches('/').to_owned()).map_err(|error| error.to_string())
    };
    let url = optional(r, "inbound.public_url", address)?;
    let public_url = match (listen, url) {
        (Some(listen), None) if listen.ip().is_loopback() && listen.port() != 0 => Some(format!("http://{listen}")),
        (Some(_), None) => {
            let problem = "is empty, and inbound.listen is set: name the https address under which RingCentral reaches it, \
                           such as \"https://fleet.example.com\"";
            r.fault("inbound.public_url", problem);
            return None;
        }
        // Another process listens, behind the same address.
        (_, url) => url,
    };
    let options = InboundOptions {
        poll: poll?,
        calls: calls?,
        retention: retention?,
        public_url,
        subscription_life: life?,
        ..InboundOptions::default()
    };
    Some((options, listen))
}
