//! What answers to logins show of whose the budget is: a 429, or more logins granted within one window than the app's budget has.
//!
//! That the lane of all logins is full shows nothing: its places are taken too by logins that a gateway answered and by those of a
//! process that has ended, and the provider may have counted neither. Nor does it count a login as long as a place is kept: it
//! begins with the arrival, not with the answer. So each login that was granted is noted with a time before it began. The arrivals of all
//! of them lie between the first of these times and the reading of the last answer.

use std::time::Duration;

use ringcentral::{Answer, CallError};
use ringfleet_store::{DocKind, Expect, Millis, Plan, SharedStore, StoreError};

use super::{super::Sessions, LoginBudget};

/// What the answer to a login may show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// It has met the end of a budget.
    Spent,
    /// It had a place in each budget that there is.
    Granted,
}

/// What is remembered of the budget stays, and a large fleet starves on the budget of one app, so only what the token endpoint
/// itself has decided counts. A server in trouble may ask for a pause too (503), and a gateway may answer before anybody has
/// counted.
pub(super) fn shown_by<T>(answer: &Result<Answer<T>, CallError>) -> Option<Shown> {
    match answer {
        Ok(_) => Some(Shown::Granted),
        Err(error) => LoginBudget::is_spent(error).then_some(Shown::Spent),
    }
}

fn key(app: &str) -> String {
    format!("{app}/logins-granted")
}

/// Nobody was granted a login.
pub(super) async fn forget(store: &SharedStore, app: &str) -> Result<(), StoreError> {
    store.doc_put(DocKind::Setting, &key(app), Expect::Anything, None, None).await.map(drop)
}

/// Logins after this time lie within one window of the provider: the fleet's clock runs slower by up to a tenth while it makes up
/// for a step.
fn lately(plan: Plan, now: Millis) -> Millis {
    now - Millis::from(plan.window_ms) * 9 / 10
}

impl Sessions {
    /// Whether as many logins were granted lately as the app's budget has, so that one more shows whose it is.
    pub(super) async fn one_more_shows(&self, plan: Plan, now: Millis) -> Result<bool, StoreError> {
        let (_, granted) = self.granted().await?;
        Ok(granted.iter().filter(|since| **since > lately(plan, now)).count() >= plan.limit as usize)
    }

    /// Notes a login that was granted, which began after `since` and whose answer was read before `now`; gives whether more were
    /// granted lately than the app's budget has.
    pub(super) async fn note_granted(&self, plan: Plan, since: Millis, now: Millis) -> Result<bool, StoreError> {
        let (expect, mut granted) = self.granted().await?;
        granted.push(since);
        granted.retain(|since| *since > lately(plan, now));
        let limit = plan.limit as usize;
        let more = granted.len() > limit;
        let body = serde_json::to_vec(&granted[granted.len().saturating_sub(limit)..]).unwrap_or_default();
        let window = Duration::from_millis(plan.window_ms.into());
        // One that another process has written over is missing afterwards, which shows less and nothing wrong.
        self.store().doc_put(DocKind::Setting, &key(self.app()), expect, Some(&body), Some(window)).await?;
        Ok(more)
    }

    async fn granted(&self) -> Result<(Expect, Vec<Millis>), StoreError> {
        let doc = self.store().doc_get(DocKind::Setting, &key(self.app())).await?;
        let expect = doc.as_ref().map_or(Expect::Absent, |doc| Expect::Rev(doc.rev));
        Ok((expect, doc.and_then(|doc| serde_json::from_slice(&doc.body).ok()).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::{ProviderError, RateHeaders};
    use ringfleet_store::{Group, LaneId};

    use super::{
        super::{ALL_EXTENSIONS, Errand},
        *,
    };
    use crate::sessions::{login::NotIn, tests::fleet};

    const MINUTE: Duration = Duration::from_secs(60);
    /// Logins of an app in a minute, by the plan of the tests' fleet.
    const LIMIT: u32 = 5;

    fn granted() -> Result<Answer<()>, CallError> {
        Ok(Answer { value: (), rate: RateHeaders::default(), date: None, request_id: None, elapsed: Duration::ZERO })
    }

    fn answered(status: u16, code: &str, retry_after: Option<u64>) -> Result<Answer<()>, CallError> {
        let error = format!(r#"{{"error":"invalid_grant","errors":[{{"errorCode":"{code}","message":"m"}}]}}"#);
        let error = Box::new(ProviderError::parse(if code.is_empty() { b"" } else { error.as_bytes() }));
        let rate = RateHeaders { retry_after: retry_after.map(Duration::from_secs), ..RateHeaders::default() };
        let status = status.try_into().expect("a status");
        Err(CallError::Status { status, error, rate, request_id: None })
    }

    #[test]
    fn only_a_429_shows_that_a_budget_is_spent_and_only_a_session_that_it_is_not() {
        for throttled in [answered(429, "CMN-301", Some(60)), answered(429, "", None)] {
            assert_eq!(shown_by(&throttled), Some(Shown::Spent), "{throttled:?}");
        }
        for other in
            [answered(429, "CMN-304", None), answered(429, "CMN-310", Some(60)), answered(400, "OAU-211", None)]
        {
            assert_eq!(shown_by(&other), None, "{other:?}");
        }
        for (status, retry_after) in [(503, Some(60)), (503, None), (500, None), (502, None), (403, None)] {
            let away = answered(status, "", retry_after);
            assert_eq!(shown_by(&away), None, "{away:?}");
        }
        assert_eq!(shown_by(&Err::<Answer<()>, _>(CallError::Guard { wait: MINUTE })), None);
        assert_eq!(shown_by(&granted()), Some(Shown::Granted));
    }

    /// A fleet that does not know whose the budget is.
    async fn new_fleet(folder: &tempfile::TempDir, window: Duration) -> Sessions {
        let sessions = fleet(folder, window).await;
        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        sessions
    }

    async fn of_the_app(sessions: &Sessions) -> Option<bool> {
        sessions.login_budget().await.unwrap().of_the_app
    }

    /// Whether the login was made.
    async fn logs_in(sessions: &Sessions, extension: u32, answer: Result<Answer<()>, CallError>) -> bool {
        match sessions.with_slot(&extension.to_string(), Errand::Login, async { answer }).await {
            Ok(_) => true,
            Err(NotIn::Later { .. }) => false,
            Err(_) => panic!("the store is there"),
        }
    }

    #[tokio::test]
    async fn one_login_more_than_the_apps_budget_has_shows_that_each_extension_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = new_fleet(&folder, MINUTE).await;
        for extension in 101..101 + LIMIT {
            assert!(logs_in(&sessions, extension, granted()).await);
            assert_eq!(of_the_app(&sessions).await, None);
        }
        let other = sessions.with_slot("106", Errand::Other, async { granted() }).await;
        assert!(matches!(other, Err(NotIn::Later { .. })), "it would show nothing");
        assert!(logs_in(&sessions, 101 + LIMIT, granted()).await);
        assert_eq!(of_the_app(&sessions).await, Some(false));
    }

    #[tokio::test]
    async fn one_login_more_that_is_throttled_shows_that_all_share_the_apps_budget() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = new_fleet(&folder, MINUTE).await;
        for extension in 101..101 + LIMIT {
            assert!(logs_in(&sessions, extension, granted()).await);
        }
        assert!(logs_in(&sessions, 101 + LIMIT, answered(429, "CMN-301", Some(60))).await);
        assert_eq!(of_the_app(&sessions).await, Some(true));
        assert!(sessions.login_budget().await.unwrap().penalty_until.is_some());
    }

    #[tokio::test]
    async fn logins_that_the_provider_may_not_have_counted_show_nothing_and_leave_no_room_to_try() {
        for (status, code) in [(502, ""), (504, ""), (400, "OAU-211")] {
            let folder = tempfile::tempdir().unwrap();
            let sessions = new_fleet(&folder, MINUTE).await;
            assert!(logs_in(&sessions, 101, answered(status, code, None)).await);
            for extension in 102..101 + LIMIT {
                assert!(logs_in(&sessions, extension, granted()).await);
            }
            assert!(!logs_in(&sessions, 101 + LIMIT, granted()).await, "{status}");
            assert_eq!(of_the_app(&sessions).await, None, "{status}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_no_login_is_made_within_the_apps_budget_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = new_fleet(&folder, MINUTE).await;
        let makes = async |errand| sessions.with_slot("101", errand, async { granted() }).await.is_ok();
        assert!(makes(Errand::Other).await);
        for _ in 1..LIMIT {
            assert!(makes(Errand::Login).await);
        }
        assert!(!logs_in(&sessions, 102, granted()).await, "one of those was no login");
        assert_eq!(of_the_app(&sessions).await, None);
    }

    #[tokio::test]
    async fn a_login_that_a_person_waits_for_is_made_beyond_the_apps_budget_but_in_no_penalty_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = new_fleet(&folder, MINUTE).await;
        let asks = async |whose, answer| sessions.with_slot(whose, Errand::Asked, async { answer }).await.is_ok();
        for extension in 101..101 + LIMIT {
            assert!(logs_in(&sessions, extension, answered(502, "", None)).await);
        }
        assert!(!logs_in(&sessions, 107, granted()).await);
        assert!(asks("106", granted()).await);
        assert_eq!(of_the_app(&sessions).await, None);
        assert!(asks("106", answered(429, "CMN-301", Some(60))).await);
        assert_eq!(of_the_app(&sessions).await, None);
        assert!(!asks("108", granted()).await, "all wait");
    }

    #[tokio::test]
    async fn logins_of_more_than_one_window_show_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = new_fleet(&folder, MINUTE).await;
        let shared = LaneId::try_new("main", ALL_EXTENSIONS, Group::Auth).unwrap();
        let plan = sessions.store().lane(&shared).await.unwrap().plan.unwrap();
        let minute = MINUTE.as_millis() as Millis;
        // The clock of the fleet may have shown nine tenths of a minute only.
        let first = 1_000_000;
        for login in 0..Millis::from(LIMIT) {
            assert!(!sessions.note_granted(plan, first + login, first + 10).await.unwrap());
        }
        let last = first + minute * 9 / 10;
        assert!(sessions.one_more_shows(plan, last - 1).await.unwrap());
        assert!(!sessions.one_more_shows(plan, last).await.unwrap());
        assert!(!sessions.note_granted(plan, last - 1, last).await.unwrap());
    }
}
