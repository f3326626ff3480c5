//! What the provider's answers tell of a lane's plan.

use std::time::Duration;

use ringcentral::RateHeaders;
use ringfleet_store::PlanSeen;

/// The longest window of a plan that is believed.
const LONGEST_WINDOW: Duration = Duration::from_secs(3_600);

/// The plan that an answer's headers tell.
pub fn plan_seen(rate: &RateHeaders) -> PlanSeen {
    PlanSeen {
        limit: rate.limit,
        // Plans count by the minute; a header that says days would freeze the lane for as long.
        window_ms: rate.window.filter(|window| *window <= LONGEST_WINDOW).map(|window| window.as_millis() as u32),
        remaining: rate.remaining,
    }
}
