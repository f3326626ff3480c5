//! Recipients that bring their own fault, without any admin call.
//!
//! `+1 555 09 FF nnT`: `FF` names the fault, `nn` is free, `T` is how often it strikes for each extension (0: always).

use std::sync::{Arc, LazyLock};

use super::{DeliveryStatus, Fault, RetryAfter};
use crate::world::Number;

const FIRST: u64 = 15_550_900_000;
const PER_FAULT: u64 = 1_000;

/// The code with which RingCentral blocks a text to someone who opted out (documented).
pub(crate) const OPTED_OUT: &str = "SMS-RC-413";

/// The table; the README prints it.
static TABLE: LazyLock<Vec<(u64, Arc<Fault>)>> = LazyLock::new(|| {
    let delivery = |status, code: Option<&str>| Fault::Delivery { status, code: code.map(str::to_owned) };
    let throttle = |retry_after, headers| Fault::Throttle { retry_after, headers };
    let failed = DeliveryStatus::DeliveryFailed;
    [
        (1, Fault::AcceptThenHang),
        (2, Fault::AcceptThenReset),
        (3, Fault::HangBeforeRead),
        (4, Fault::ResetBefore),
        (5, Fault::ErrorBefore { status: 503, code: None, retry_after: None }),
        (6, Fault::ErrorAfterAccept { status: 500 }),
        (7, Fault::ErrorAfterAccept { status: 502 }),
        (8, throttle(Some(RetryAfter::Seconds(2)), true)),
        (9, throttle(None, false)),
        (10, Fault::Garbage),
        (11, Fault::Truncated),
        (12, Fault::Huge),
        (13, Fault::Drip),
        (14, Fault::Delay { ms: 2_000 }),
        (20, delivery(DeliveryStatus::SendingFailed, Some(OPTED_OUT))),
        (21, delivery(failed, Some("SMS-CAR-411"))),
        (22, delivery(failed, Some("SMS-UP-430"))),
        (23, delivery(failed, Some("SMS-CAR-199"))),
        (24, delivery(DeliveryStatus::Queued, None)),
        (25, delivery(DeliveryStatus::Sent, None)),
    ]
    .map(|(number, fault)| (number, Arc::new(fault)))
    .into()
});

/// The fault of a recipient and how often it strikes, if the number is magic.
pub(crate) fn magic(to: Number) -> Option<(Arc<Fault>, Option<u32>)> {
    let offset = to.0.checked_sub(FIRST)?;
    if offset >= 100 * PER_FAULT {
        return None;
    }
    let fault = TABLE.iter().find(|(number, _)| *number == offset / PER_FAULT)?;
    let times = match to.0 % 10 {
        0 => None,
        times => Some(times as u32),
    };
    Some((Arc::clone(&fault.1), times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_spells_the_fault() {
        assert_eq!(magic(Number(15_550_902_010)), Some((Arc::new(Fault::AcceptThenReset), None)));
        let (fault, times) = magic(Number(15_550_914_003)).expect("magic");
        assert_eq!((&*fault, times), (&Fault::Delay { ms: 2_000 }, Some(3)));
        assert_eq!(magic(Number(15_550_919_000)), None);
        assert_eq!(magic(Number(15_550_100_000)), None);
        assert_eq!(magic(Number(15_551_001_000)), None);
    }
}
