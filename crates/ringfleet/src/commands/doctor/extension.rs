//! One extension: does it log in, is it a user's, can its numbers text, may the program read what it needs?

use std::time::Duration;

use jiff::Timestamp;
use ringcentral::{
    CallError, ExtensionId, ExtensionInfo, ExtensionNumber, ExtensionStatus, Label, MessageQuery, NumberFeature,
    Outcome, Page, PhoneNumber, Read, SmsConfiguration, Whose, classify_read,
};
use ringfleet_explain::{sense, short};
use ringfleet_identity::{NoSession, ReadError, Reader};
use ringfleet_store::{Gate, Group, LaneId, Millis};
use serde::de::DeserializeOwned;

use super::{
    case::Case,
    finding::{Finding, Level, Section},
    store::chain,
};

/// A read may have to wait for its turn: a window and a penalty.
const PATIENCE: Duration = Duration::from_secs(130);
const LOGIN: &str = "login";
/// Stands for all that would have been read.
const UNREAD: &str = "reads";
const LOGIN_FIRST: &str = "user, numbers, message store and permissions can be read only after a login";
pub(super) const STOPPED: &str = "the fleet is stopped";
/// Numbers of one extension whose registration is looked at.
const MOST_NUMBERS: usize = 5;

pub(super) async fn look(case: &Case, extension: &ExtensionId) -> Section {
    let mut findings = vec![login(case, extension).await];
    let mut title = format!("Extension {extension}");
    if findings[0].level == Level::Fail {
        findings.push(Finding::skip(UNREAD, LOGIN_FIRST));
    } else if let Some(why) = halted(case).await {
        findings.push(Finding::skip(UNREAD, why));
    } else {
        let own = Looked { reader: &case.reader, extension };
        match own.user().await {
            // The fleet had kept a session, and the provider has ended it since.
            Err(refusal) => findings = vec![refusal, Finding::skip(UNREAD, LOGIN_FIRST)],
            Ok((info, user)) => {
                if let Some(short) = info.as_ref().and_then(|info| info.extension_number.as_ref()) {
                    title.push_str(&format!(" ({})", short.as_str()));
                }
                findings.push(user);
                findings.extend(own.numbers(&case.numbers_of(extension)).await);
                findings.push(own.message_store().await);
                findings.push(own.may_send().await);
            }
        }
    }
    findings.push(lane(case, extension).await);
    Section::new(title, findings)
}

/// Why all reads of the fleet wait longer than one would here; asked for each extension, as the doctor may look at many.
async fn halted(case: &Case) -> Option<String> {
    let store = case.vault.store();
    match store.gate().await.ok()? {
        Gate::Open => None,
        Gate::Stopped { .. } => Some(format!("{STOPPED}: nothing is read; `ringfleet fleet resume` lets it go on")),
        Gate::Until { until, .. } => {
            let wait = until - store.now().await.ok()?;
            let told = || format!("the whole fleet waits: nothing is read for {}; run it again then", short(wait));
            (wait > PATIENCE.as_millis() as Millis).then(told)
        }
    }
}

/// Nothing was read of it, though nothing is known to be wrong with it.
pub(super) fn is_unread(section: &Section) -> bool {
    let refused = |finding: &Finding| finding.check == LOGIN && finding.level == Level::Fail;
    section.findings.iter().any(|finding| finding.check == UNREAD) && !section.findings.iter().any(refused)
}

/// The fleet's session, or a new one under the Auth plan. A credential that was refused before is tried once more.
async fn login(case: &Case, extension: &ExtensionId) -> Finding {
    let methods: Vec<_> =
        case.roster.of(extension.as_str()).iter().map(|credential| credential.login.method().as_str()).collect();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match case.sessions.get(extension).await {
            Ok(_) => return Finding::ok(LOGIN, format!("has a session ({})", methods.join(", then "))),
            Err(NoSession::Later { delay }) if tokio::time::Instant::now() + delay < deadline => {
                tokio::time::sleep(delay).await;
            }
            Err(NoSession::Later { .. }) => {
                return Finding::warn(
                    LOGIN,
                    "no turn to log in, or no answer",
                    "run it again for this extension alone",
                );
            }
            Err(NoSession::Dead { reason }) => return refused(LOGIN, &reason),
            Err(NoSession::Store(error)) => return Finding::fail(LOGIN, chain(&error), "look at the store"),
        }
    }
}

/// `OAU-211, OAU-473 #print`: the first code is the preferred credential's.
fn refused(check: &str, reason: &str) -> Finding {
    let codes = reason.split('#').next().unwrap_or(reason).trim();
    let (first, others) = codes.split_once(", ").map_or((codes, None), |(first, others)| (first, Some(others)));
    let mut seen =
        others.map_or_else(String::new, |others| format!("its other credentials are refused too ({others})"));
    if seen.is_empty() && first == "OAU-213" {
        // At a login the word is of the connection's own refresh token.
        seen = "connect the extension again".to_owned();
    }
    Finding::coded(check, Level::Fail, first, &seen)
}

/// What is to be said of the login, if the provider refuses the session and gives no other: each read would meet the same.
fn refusal(error: &ReadError) -> Option<Finding> {
    match error {
        ReadError::NoSession { reason } => Some(refused(LOGIN, reason)),
        ReadError::Call(error) if matches!(classify_read(error), Outcome::Unauthorised { .. }) => {
            Some(Finding::of_call(LOGIN, error))
        }
        _ => None,
    }
}

/// Reads of one extension.
struct Looked<'a> {
    reader: &'a Reader,
    extension: &'a ExtensionId,
}

impl Looked<'_> {
    /// `Err`: see [`refusal`].
    async fn user(&self) -> Result<(Option<ExtensionInfo>, Finding), Finding> {
        const CHECK: &str = "user";
        match self.read(Read::extension(Whose::Own)).await {
            Ok(info) => {
                let kind = info.kind.as_ref().map_or("of an unknown type", Label::as_str);
                let finding = match info.status {
                    ExtensionStatus::Enabled => Finding::ok(CHECK, format!("enabled, {kind}")),
                    status => Finding::fail(
                        CHECK,
                        format!("{}, {kind}: its texts are dropped", status.as_str()),
                        "enable the extension in the RingCentral admin portal",
                    ),
                };
                Ok((Some(info), finding))
            }
            Err(error) => refusal(&error).map_or_else(|| Ok((None, unread(CHECK, &error))), Err),
        }
    }

    /// `known` are the numbers that the fleet sends from in this extension's name.
    async fn numbers(&self, known: &[PhoneNumber]) -> Vec<Finding> {
        const CHECK: &str = "numbers";
        let page: Result<Page<ExtensionNumber>, _> = self.read_page(Read::extension_phone_numbers(Whose::Own)).await;
        let own = match page {
            Ok(page) => page.records,
            Err(error) => return vec![unread(CHECK, &error)],
        };
        let mut findings = judged(&own, known);
        for number in own.iter().filter(|number| number.can_send_sms()).take(MOST_NUMBERS) {
            findings.extend(self.registration(number).await);
        }
        findings
    }

    async fn registration(&self, number: &ExtensionNumber) -> Option<Finding> {
        const CHECK: &str = "registration";
        let (id, shown) = (number.id.as_ref()?, number.number()?);
        let step = "register brand and campaign, and link the number to it, in the RingCentral admin portal";
        Some(match self.read(Read::<SmsConfiguration>::sms_configuration(Whose::Own, id)).await {
            Ok(found) if found.is_confirmed() => Finding::ok(CHECK, format!("{shown}: campaign confirmed")),
            Ok(found) => {
                let state =
                    found.campaign.as_ref().map_or("linked to no campaign", |campaign| campaign.status.as_str());
                Finding::warn(
                    CHECK,
                    format!("{shown}: {state}; carriers refuse its texts (toll-free numbers have none)"),
                    step,
                )
            }
            Err(ReadError::Call(CallError::Status { status, .. })) if status.as_u16() == 404 => {
                Finding::skip(CHECK, format!("{shown}: this server does not tell it"))
            }
            Err(error) => unread(CHECK, &error),
        })
    }

    async fn message_store(&self) -> Finding {
        const CHECK: &str = "message store";
        let now = Timestamp::now();
        let query = MessageQuery { per_page: 1, ..MessageQuery::outbound_sms(now - Duration::from_secs(3_600), now) };
        match self.read_page(Read::messages(&query)).await {
            Ok(_) => Finding::ok(CHECK, "can be read: sends whose fate is unknown are looked up there"),
            Err(error) => unread(CHECK, &error),
        }
    }

    async fn may_send(&self) -> Finding {
        const CHECK: &str = "may send";
        let Some(permission) = Label::try_new("OutboundSMS") else { return Finding::skip(CHECK, "could not be asked") };
        match self.read(Read::permission(Whose::Own, &permission)).await {
            Ok(check) if check.granted => Finding::ok(CHECK, "the user has OutboundSMS"),
            Ok(_) => Finding::coded(CHECK, Level::Fail, "CMN-408", "the user has no OutboundSMS"),
            Err(ReadError::Call(CallError::Status { status, .. })) if status.as_u16() == 404 => {
                Finding::skip(CHECK, "this server does not tell it")
            }
            Err(error) => unread(CHECK, &error),
        }
    }

    async fn read<T: DeserializeOwned>(&self, read: Read<T>) -> Result<T, ReadError> {
        Ok(self.reader.read(self.extension, &read, PATIENCE).await?.value)
    }

    async fn read_page<T: DeserializeOwned>(&self, read: Read<Page<T>>) -> Result<Page<T>, ReadError> {
        Ok(self.reader.read_page(self.extension, &read, PATIENCE).await?.value)
    }
}

/// What the numbers of an extension are worth to the fleet, which sends from `known`.
fn judged(own: &[ExtensionNumber], known: &[PhoneNumber]) -> Vec<Finding> {
    const CHECK: &str = "numbers";
    let mut findings = Vec::new();
    for number in known {
        match own.iter().find(|one| one.number().as_ref() == Some(number)) {
            None => {
                findings.push(Finding::coded(CHECK, Level::Fail, "MSG-304", &format!("{number} is none of its own")))
            }
            Some(one) if !one.can_send_sms() => {
                findings.push(Finding::coded(CHECK, Level::Fail, "MSG-367", &format!("{number} has no SmsSender")));
            }
            Some(_) => {}
        }
    }
    let senders: Vec<_> =
        own.iter().filter(|number| number.can_send_sms()).filter_map(ExtensionNumber::number).collect();
    let with = |feature| own.iter().filter(|number| number.features.contains(&feature)).count();
    if senders.is_empty() {
        let seen = format!("none of its {} numbers has SmsSender", own.len());
        findings.push(Finding::coded(CHECK, Level::Fail, "MSG-367", &seen));
    } else {
        let shown: Vec<_> = senders.iter().map(ToString::to_string).collect();
        let (mms, a2p) = (with(NumberFeature::MmsSender), with(NumberFeature::A2pSmsSender));
        findings.push(Finding::ok(
            CHECK,
            format!("{} can text ({mms} with pictures, {a2p} high-volume)", shown.join(", ")),
        ));
    }
    findings
}

fn unread(check: &str, error: &ReadError) -> Finding {
    match error {
        ReadError::Call(error) => Finding::of_call(check, error),
        ReadError::NoSession { reason } => refused(check, reason),
        ReadError::NoTurn { wait } => {
            let seen =
                "the usage plan leaves no turn now: the extension is busy or in a penalty, or the fleet was stopped";
            Finding::warn(check, seen, format!("run it again in {} s", wait.as_secs().max(1)))
        }
        ReadError::Store(error) => Finding::fail(check, chain(error), "look at the store"),
    }
}

/// Whether its messages move.
async fn lane(case: &Case, extension: &ExtensionId) -> Finding {
    const CHECK: &str = "lane";
    let Ok(lane) = LaneId::try_new(&case.settings.provider.app, extension.as_str(), Group::Medium) else {
        return Finding::skip(CHECK, "can't be looked up");
    };
    let view = match case.vault.store().lane(&lane).await {
        Ok(view) => view,
        Err(error) => return Finding::fail(CHECK, chain(&error), "look at the store"),
    };
    let waiting = view.waiting;
    if let Some(reason) = &view.parked {
        let seen = format!("stands still with {waiting} messages: {reason}");
        return match sense(reason) {
            Some(sense) => Finding {
                code: super::code_in(reason),
                ..Finding::fail(
                    CHECK,
                    format!("{seen}: {}", sense.meaning),
                    format!("{}; then `ringfleet lane resume {extension}`", sense.remedy.unwrap_or("mend the cause")),
                )
            },
            None => Finding::fail(CHECK, seen, format!("mend the cause; then `ringfleet lane resume {extension}`")),
        };
    }
    if view.paused {
        let seen = format!("paused by an operator, {waiting} messages wait");
        return Finding::warn(CHECK, seen, format!("`ringfleet lane resume {extension}` lets it go on"));
    }
    match case.vault.store().gate().await {
        Ok(Gate::Open) => Finding::ok(CHECK, format!("moves; {waiting} messages wait")),
        Ok(Gate::Stopped { .. }) => Finding::skip(CHECK, format!("{STOPPED}, and {waiting} messages wait")),
        Ok(Gate::Until { .. }) => Finding::skip(CHECK, format!("the whole fleet waits, and so do {waiting} messages")),
        Err(error) => Finding::fail(CHECK, chain(&error), "look at the store"),
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::{ProviderError, RateHeaders};

    use super::*;

    fn number(text: &str, features: &str) -> ExtensionNumber {
        serde_json::from_str(&format!(r#"{{"id":"1","phoneNumber":"{text}","features":[{features}]}}"#)).unwrap()
    }

    #[test]
    fn numbers_of_others_and_numbers_that_cannot_text_are_named_by_their_codes() {
        let own = [number("+15550100001", r#""SmsSender""#), number("+15550100002", "")];
        let known: Vec<_> =
            ["+15550100001", "+15550100002", "+15550100003"].map(|n| PhoneNumber::try_new(n).unwrap()).into();
        let codes: Vec<_> = judged(&own, &known).into_iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Some("MSG-367".to_owned()), Some("MSG-304".to_owned()), None]);
        let none = judged(&own[1..], &[]);
        assert_eq!(none[0].code.as_deref(), Some("MSG-367"));
        assert!(!format!("{none:?}").contains("0100002"));
    }

    fn answered(status: u16, code: &str) -> ReadError {
        let body = format!(r#"{{"errorCode":"{code}","message":"m"}}"#);
        ReadError::Call(CallError::Status {
            status: status.try_into().unwrap(),
            error: Box::new(ProviderError::parse(body.as_bytes())),
            rate: RateHeaders::default(),
            request_id: None,
        })
    }

    #[test]
    fn a_session_that_the_provider_refuses_is_told_of_the_login_and_nothing_else_is() {
        let dead = ReadError::NoSession { reason: "OAU-211 #c0ffee".to_owned() };
        for (error, code) in [(dead, "OAU-211"), (answered(401, "OAU-236"), "OAU-236")] {
            let finding = refusal(&error).unwrap();
            assert_eq!(
                (finding.check.as_str(), finding.level, finding.code.as_deref()),
                (LOGIN, Level::Fail, Some(code))
            );
        }
        for error in [answered(403, "CMN-401"), answered(503, "CMN-211"), ReadError::NoTurn { wait: PATIENCE }] {
            assert!(refusal(&error).is_none(), "{error:?}");
        }
    }

    #[test]
    fn only_what_waits_for_the_fleet_counts_as_unread_and_not_what_lacks_a_login() {
        let section = |login| Section::new("x", vec![login, Finding::skip(UNREAD, "why")]);
        assert!(is_unread(&section(Finding::ok(LOGIN, "has a session"))));
        assert!(!is_unread(&section(Finding::coded(LOGIN, Level::Fail, "OAU-211", ""))));
        // A lane that stands still says nothing of why nothing was read.
        let mut parked = section(Finding::ok(LOGIN, "has a session"));
        parked.findings.push(Finding::fail("lane", "stands still", "mend the cause"));
        assert!(is_unread(&parked));
        parked.findings.retain(|finding| finding.check != UNREAD);
        assert!(!is_unread(&parked));
    }

    #[test]
    fn the_preferred_credentials_code_comes_first() {
        let finding = refused("login", "OAU-473, OAU-211 #c0ffee,bad");
        assert_eq!(finding.code.as_deref(), Some("OAU-473"));
        assert!(finding.seen.contains("OAU-211") && !finding.seen.contains('#'), "{finding:?}");
    }
}
