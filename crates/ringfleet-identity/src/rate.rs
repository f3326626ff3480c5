//! What the provider's answers tell of a lane's plan.

use ringcentral::RateHeaders;
use ringfleet_store::PlanSeen;

/// The plan that an answer's headers tell; what is not to be believed was left out when they were read.
pub fn plan_seen(rate: &RateHeaders) -> PlanSeen {
    PlanSeen {
        limit: rate.limit,
        window_ms: rate.window.map(|window| window.as_millis() as u32),
        remaining: rate.remaining,
    }
}
