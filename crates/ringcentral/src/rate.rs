//! What an answer's headers say about the quota.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::label::Label;

/// A `Retry-After` below this is raised to it: asking at once inside a penalty begins the penalty anew.
pub const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// A `Retry-After` above this is lowered to it: one broken header must not park a lane for a day.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// What to wait after a 429 without a usable `Retry-After` (documented: 30 s or more).
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The longest window that is believed. Plans count by the minute; one of days would freeze a lane for as long.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

/// The `X-Rate-Limit-*` and `Retry-After` headers of one answer; each one `None` if missing or absurd.
///
/// Documented: they come with every answer that is subject to user-level limits, errors included, and can be missing in
/// rare cases; a 429 without them is another kind of limit (source address, account, service).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Lower-cased. The names may change (documented), so nothing may depend on them.
    pub group: Option<String>,
    /// Without a window that is believed no number of requests is either: it would count for another time than was meant.
    pub limit: Option<u32>,
    pub remaining: Option<u32>,
    pub window: Option<Duration>,
    /// Clamped to 1 s – 1 h. A negative, unreadable or past value counts as missing.
    pub retry_after: Option<Duration>,
}

impl RateHeaders {
    /// Reads the headers. `now` is needed for a `Retry-After` that is a date; the answer's own `Date` header wins over
    /// it, so that a wrong clock on this machine does not matter.
    pub fn read(headers: &HeaderMap, now: Timestamp) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |name: &str| text(name).and_then(|value| value.parse::<u32>().ok());
        let window = number("x-rate-limit-window").map(|seconds| Duration::from_secs(seconds.into()));
        // SEND-SAFETY: (of the plan) so many requests in a day are not so many in the minute that is counted where no window is told.
        let refused = headers.contains_key("x-rate-limit-window")
            && window.is_none_or(|window| window.is_zero() || window > MAX_WINDOW);
        let server_now = text("date").and_then(http_date).unwrap_or(now);
        Self {
            group: text("x-rate-limit-group").and_then(Label::try_new).map(|group| group.as_str().to_ascii_lowercase()),
            limit: number("x-rate-limit-limit").filter(|_| !refused),
            remaining: number("x-rate-limit-remaining").filter(|_| !refused),
            window: window.filter(|_| !refused),
            retry_after: text("retry-after").and_then(|value| retry_after(value, server_now)),
        }
    }

    /// How long to keep quiet after a 429. Documented: `Retry-After`, else at least 30 s. Where the answer names its window,
    /// at least that long, because a request inside the penalty, which is usually as long, starts it again.
    pub fn quiet_for(&self) -> Duration {
        let unnamed = DEFAULT_RETRY_AFTER.max(self.window.unwrap_or_default()).min(MAX_RETRY_AFTER);
        self.retry_after.unwrap_or(unnamed)
    }

    /// Whether any `X-Rate-Limit-*` header was there, which means that a user-level limit was counted.
    pub fn any_limit(&self) -> bool {
        self.group.is_some() || self.limit.is_some() || self.remaining.is_some() || self.window.is_some()
    }
}

/// Reads one `Retry-After` value: seconds or an HTTP date.
///
/// A date in the past counts as missing rather than as "at once": it is a skewed clock more often than a free lane.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if digits {
        // More digits than fit are still "very long".
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = http_date(value)?;
        if until <= now {
            return None;
        }
        Duration::try_from(until.duration_since(now)).ok()?
    };
    Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

/// An IMF-fixdate (RFC 9110 §5.6.7); its two obsolete forms are not read.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    if value.len() > 64 {
        return None;
    }
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("header value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn now() -> Timestamp {
        "1994-11-06T08:49:37Z".parse().expect("timestamp")
    }

    #[test]
    fn all_headers_are_read() {
        let read = RateHeaders::read(
            &headers(&[
                ("x-rate-limit-group", "Medium"),
                ("x-rate-limit-limit", "40"),
                ("x-rate-limit-remaining", " 39 "),
                ("x-rate-limit-window", "60"),
                ("retry-after", "60"),
            ]),
            now(),
        );
        let expected = RateHeaders {
            group: Some("medium".into()),
            limit: Some(40),
            remaining: Some(39),
            window: Some(Duration::from_secs(60)),
            retry_after: Some(Duration::from_secs(60)),
        };
        assert_eq!(read, expected);
        assert!(read.any_limit());
    }

    #[test]
    fn missing_and_absurd_headers_count_as_missing() {
        assert_eq!(RateHeaders::read(&HeaderMap::new(), now()), RateHeaders::default());
        let absurd = headers(&[
            ("x-rate-limit-group", "+15550100123"),
            ("x-rate-limit-limit", "-40"),
            ("x-rate-limit-remaining", "many"),
            ("x-rate-limit-window", "0"),
            ("retry-after", "-5"),
        ]);
        assert_eq!(RateHeaders::read(&absurd, now()), RateHeaders::default());
    }

    #[test]
    fn a_window_that_is_not_believed_takes_its_numbers_with_it() {
        let read = |window: &str| {
            let numbers = [("x-rate-limit-limit", "1000"), ("x-rate-limit-remaining", "900")];
            let told = RateHeaders::read(&headers(&[numbers[0], numbers[1], ("x-rate-limit-window", window)]), now());
            (told.limit, told.remaining, told.window.map(|window| window.as_secs()))
        };
        for window in ["60", "3600"] {
            assert_eq!(read(window), (Some(1000), Some(900), window.parse().ok()));
        }
        for window in ["3601", "86400", "0", "-60", "a minute", ""] {
            assert_eq!(read(window), (None, None, None), "{window}");
        }
        let unsaid =
            RateHeaders::read(&headers(&[("x-rate-limit-limit", "40"), ("x-rate-limit-remaining", "39")]), now());
        assert_eq!((unsaid.limit, unsaid.remaining), (Some(40), Some(39)));
    }

    #[test]
    fn row_24_retry_after_is_clamped_and_dated() {
        let seconds = |value: &str| retry_after(value, now()).map(|wait| wait.as_secs());
        let cases = [
            ("60", Some(60)),
            ("0", Some(1)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 23:49:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sat, 05 Nov 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(seconds(value), expected, "{value}");
        }
    }

    #[test]
    fn the_servers_own_date_is_preferred() {
        let skewed = "1994-11-07T00:00:00Z".parse().expect("timestamp");
        let answer =
            headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]);
        assert_eq!(RateHeaders::read(&answer, skewed).retry_after, Some(Duration::from_secs(60)));
    }

    proptest! {
        #[test]
        fn row_24_any_retry_after_is_missing_or_within_bounds(value in "[ -~]{0,80}|[0-9]{1,30}", at in -9_999_999_999_i64..99_999_999_999) {
            let now = Timestamp::from_second(at).expect("in range");
            if let Some(wait) = retry_after(value.trim(), now) {
                prop_assert!((MIN_RETRY_AFTER..=MAX_RETRY_AFTER).contains(&wait));
            }
        }

        #[test]
        fn any_header_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut map = HeaderMap::new();
            for name in ["date", "retry-after", "x-rate-limit-group", "x-rate-limit-limit", "x-rate-limit-window"] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    map.insert(HeaderName::from_static(name), value);
                }
            }
            let read = RateHeaders::read(&map, now());
            prop_assert!(read.group.is_none_or(|group| group.len() <= 48));
        }
    }

    #[test]
    fn without_retry_after_the_window_is_waited_for_and_half_a_minute_at_least() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let quiet = |window, retry_after| RateHeaders { window, retry_after, ..RateHeaders::default() }.quiet_for();
        assert_eq!(quiet(seconds(60), None), Duration::from_secs(60));
        assert_eq!(quiet(seconds(2), None), Duration::from_secs(30));
        assert_eq!(quiet(None, None), Duration::from_secs(30));
        assert_eq!(quiet(seconds(60), seconds(5)), Duration::from_secs(5));
    }
}
