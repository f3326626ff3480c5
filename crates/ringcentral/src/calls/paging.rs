//! Query parameters that several lists share.

use jiff::Timestamp;

/// Most records of one page (documented).
pub(super) const MAX_PER_PAGE: u32 = 1000;

pub(super) fn from_page(page: u32, per_page: u32) -> [(&'static str, String); 2] {
    [("page", page.max(1).to_string()), ("perPage", per_page.clamp(1, MAX_PER_PAGE).to_string())]
}

/// Both dates are always sent: without them the server looks back 24 hours only (documented).
pub(super) fn between(from: Timestamp, to: Timestamp) -> [(&'static str, String); 2] {
    // SEND-SAFETY: rounded outwards, since a message just outside a rounded bound would count as never sent.
    [("dateFrom", since(from)), ("dateTo", rfc3339_ms(-(-to.as_nanosecond()).div_euclid(1_000_000)))]
}

/// An instant, rounded down to the millisecond.
pub(super) fn since(from: Timestamp) -> String {
    rfc3339_ms(from.as_nanosecond().div_euclid(1_000_000))
}

fn rfc3339_ms(milliseconds: i128) -> String {
    let instant = i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", instant.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_explicit_and_rounded_outwards() {
        let from = "2026-01-02T03:04:05.6789Z".parse().expect("timestamp");
        let to = "2026-01-02T03:04:05.6781Z".parse().expect("timestamp");
        let expected = [("dateFrom", "2026-01-02T03:04:05.678Z"), ("dateTo", "2026-01-02T03:04:05.679Z")];
        assert!(between(from, to).iter().map(|(name, value)| (*name, value.as_str())).eq(expected));
    }

    #[test]
    fn page_and_its_size_stay_within_bounds() {
        let text = |page, per_page| from_page(page, per_page).map(|(_, value)| value);
        assert_eq!(text(0, 0), ["1", "1"]);
        assert_eq!(text(3, 5000), ["3", "1000"]);
    }
}
