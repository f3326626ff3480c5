//! Keeps one subscription for each connected extension: makes it, renews it at half of its life, and replaces one that the
//! provider has blacklisted or forgotten.

use std::{sync::Arc, time::Duration};

use ringcentral::{
    Answer, CallError, EventFilter, ExtensionId, NewSubscription, Read, Subscription, SubscriptionId,
    SubscriptionStatus, UsageGroup, VerificationToken, WebhookAddress,
};
use ringfleet_identity::{ReadError, Reader, Told, Turn, Unread, Vault, jittered};
use ringfleet_store::{Millis, WorkerId};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::record::Record;
use crate::{metrics, turns::Turns};

const TICK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(20);
/// After a failure, and while the provider refuses.
const AGAIN: Duration = Duration::from_secs(60);
const REFUSED_AGAIN: Duration = Duration::from_secs(600);
/// There is no such subscription any more.
const GONE: &str = "gone";
/// Counts only: what came in is read by those who may, not sent about.
const MESSAGES: [&str; 2] = [
    "/restapi/v1.0/account/~/extension/~/message-store?type=SMS&direction=Inbound",
    "/restapi/v1.0/account/~/extension/~/message-store?type=VoiceMail",
];
/// Used by the official clients.
const MISSED_CALLS: &str = "/restapi/v1.0/account/~/extension/~/missed-calls";

pub(crate) struct Subscriptions {
    pub(crate) vault: Vault,
    pub(crate) reader: Reader,
    /// The path of an extension is put behind it.
    pub(crate) public_url: String,
    /// Missed calls are told too.
    pub(crate) calls: bool,
    /// How often each subscription is looked at.
    pub(crate) every: Duration,
    /// A subscription lives so long unless it is renewed, and it is at half of it.
    pub(crate) life: Duration,
    /// Refusals that this process has told.
    pub(crate) refused: Told<ExtensionId>,
    pub(crate) stop: CancellationToken,
}

/// How one look at an extension's subscription ended.
enum Kept {
    Active,
    Made,
    Renewed,
}

impl Subscriptions {
    /// Looks at every connected extension's subscription in turn until `stop`.
    pub(crate) async fn run(self, process: WorkerId) {
        let this = Arc::new(self);
        let roster = this.reader.sessions().roster();
        let mut turns = Turns::new("subscriptions", this.vault.store(), this.vault.app(), &process, roster);
        let mut looks = JoinSet::new();
        loop {
            tokio::select! {
                () = this.stop.cancelled() => break,
                () = tokio::time::sleep(jittered(TICK)) => {}
                Some(Ok((extension, wait))) = looks.join_next() => turns.put_off(extension, wait),
            }
            if !turns.are_ours().await {
                continue;
            }
            for extension in turns.take(AT_ONCE.saturating_sub(looks.len()), Duration::ZERO, this.every) {
                let this = this.clone();
                looks.spawn(async move {
                    let wait = this.look(&extension).await;
                    (extension, wait)
                });
            }
        }
        turns.leave().await;
    }

    /// Sees to one extension's subscription, and says when to look again.
    async fn look(&self, name: &str) -> Duration {
        let Ok(extension) = ExtensionId::try_new(name) else { return self.every };
        let kept = tokio::select! {
            () = self.stop.cancelled() => return AGAIN,
            kept = self.keep(&extension) => kept,
        };
        if kept.is_ok() {
            self.refused.is_over(&extension);
        }
        let (result, wait) = match kept {
            Ok(Kept::Active) => ("active", self.every),
            Ok(Kept::Made) => ("made", self.every),
            Ok(Kept::Renewed) => ("renewed", self.every),
            Err(Unread::Refused { code }) => {
                if self.refused.is_news(extension, &code) {
                    tracing::warn!(
                        extension.id = name,
                        rc.error_code = code,
                        "no webhook is told of what comes in at the extension; polling goes on. `ringfleet explain-code` tells why"
                    );
                }
                ("refused", REFUSED_AGAIN)
            }
            Err(Unread::Later) => ("later", AGAIN),
            Err(Unread::Store(error)) => {
                metrics::store_error("subscriptions", &error);
                ("later", AGAIN)
            }
        };
        metrics::subscription(result);
        wait
    }

    async fn keep(&self, extension: &ExtensionId) -> Result<Kept, Unread> {
        // Nobody waits for it: neither a login nor a turn that others need.
        if !self.reader.has_room(extension, UsageGroup::Light).await? {
            return Err(Unread::Later);
        }
        let address = self.address_of(extension)?;
        let (print, now) = (self.print(&address), self.vault.store().now().await?);
        let record = Record::load(&self.vault, extension).await?;
        let Some((id, renew_at)) = record.as_ref().and_then(|record| {
            let id = record.id.clone().filter(|_| record.wants == print)?;
            Some((id, record.renew_at))
        }) else {
            return self.make(extension, &address, record).await;
        };
        let renew = now >= renew_at;
        let found = if renew { self.renew(extension, &id).await } else { self.read(extension, &id).await };
        match found {
            Err(Unread::Refused { code }) if code == GONE => self.make(extension, &address, record).await,
            Err(failed) => Err(failed),
            Ok(subscription) if subscription.status == SubscriptionStatus::Blacklisted => {
                tracing::warn!(extension.id = %extension, "the provider had given up the webhook; it is subscribed anew");
                self.make(extension, &address, record).await
            }
            Ok(_) if renew => {
                if let Some(record) = record {
                    let renew_at = self.renew_at(now);
                    Record { renew_at, ..record }.save(&self.vault, extension).await?;
                }
                Ok(Kept::Renewed)
            }
            Ok(_) => Ok(Kept::Active),
        }
    }

    /// Makes a subscription, after those that lead to the same address are gone: one whose making had no answer, one that was
    /// given up.
    async fn make(
        &self,
        extension: &ExtensionId,
        address: &WebhookAddress,
        before: Option<Record>,
    ) -> Result<Kept, Unread> {
        // The old secret goes on, because the webhooks of other processes know it.
        let secret = match before {
            Some(record) => record.secret,
            None => VerificationToken::try_new(&hex(&rand::random::<[u8; 24]>())).map_err(|_| Unread::Later)?,
        };
        let mut record = Record { id: None, secret, wants: self.print(address), renew_at: 0 };
        record.save(&self.vault, extension).await?;
        for old in self.list(extension).await? {
            let to = old.delivery_mode.as_ref().and_then(|mode| mode.address.as_ref());
            if to.is_some_and(|to| to == address) {
                self.delete(extension, &old.id).await?;
            }
        }
        let filters: Vec<EventFilter> =
            self.filters().map(EventFilter::try_new).collect::<Result<_, _>>().map_err(|_| Unread::Later)?;
        let token = &record.secret;
        let new = NewSubscription {
            filters: &filters,
            address,
            verification_token: Some(token),
            expires_in: Some(self.life),
        };
        let ask = |turn: Turn| async move { turn.client.create_subscription(turn.caller(), new).await };
        let made = done(self.reader.call(extension, UsageGroup::Medium, PATIENCE, ask).await)?;
        if let Some(disabled) = made.disabled_filters.first() {
            let code = disabled.reason.as_ref().map_or("none", |reason| reason.as_str());
            tracing::warn!(extension.id = %extension, rc.error_code = code, "some of what comes in is not told to the webhook");
        }
        let now = self.vault.store().now().await?;
        (record.id, record.renew_at) = (Some(made.id), self.renew_at(now));
        record.save(&self.vault, extension).await?;
        Ok(Kept::Made)
    }

    async fn list(&self, extension: &ExtensionId) -> Result<Vec<Subscription>, Unread> {
        // At most 30 (documented), which is one page.
        Ok(done(self.reader.read_page(extension, &Read::subscriptions(), PATIENCE).await)?.records)
    }

    async fn read(&self, extension: &ExtensionId, id: &SubscriptionId) -> Result<Subscription, Unread> {
        done(self.reader.read(extension, &Read::subscription(id), PATIENCE).await)
    }

    async fn renew(&self, extension: &ExtensionId, id: &SubscriptionId) -> Result<Subscription, Unread> {
        let ask = |turn: Turn| async move { turn.client.renew_subscription(turn.caller(), id).await };
        done(self.reader.call(extension, UsageGroup::Light, PATIENCE, ask).await)
    }

    async fn delete(&self, extension: &ExtensionId, id: &SubscriptionId) -> Result<(), Unread> {
        let ask = |turn: Turn| async move { turn.client.delete_subscription(turn.caller(), id).await };
        match done(self.reader.call(extension, UsageGroup::Medium, PATIENCE, ask).await) {
            Err(Unread::Refused { code }) if code == GONE => Ok(()),
            other => other,
        }
    }

    fn filters(&self) -> impl Iterator<Item = &'static str> {
        MESSAGES.into_iter().chain(self.calls.then_some(MISSED_CALLS))
    }

    /// Names what is subscribed to, and where it is told. An address is not written down: its path may be a key.
    fn print(&self, address: &WebhookAddress) -> String {
        let mut digest = Sha256::new_with_prefix(address.expose().as_bytes());
        for filter in self.filters() {
            digest.update(b"\n");
            digest.update(filter.as_bytes());
        }
        hex(&digest.finalize()[..16])
    }

    fn renew_at(&self, now: Millis) -> Millis {
        now.saturating_add(self.life.as_millis() as Millis / 2)
    }

    fn address_of(&self, extension: &ExtensionId) -> Result<WebhookAddress, Unread> {
        let address = format!("{}/inbound/{extension}", self.public_url.trim_end_matches('/'));
        WebhookAddress::try_new(&address).map_err(|_| Unread::Later)
    }
}

fn done<T>(answer: Result<Answer<T>, ReadError>) -> Result<T, Unread> {
    match answer {
        Ok(answer) => Ok(answer.value),
        Err(ReadError::Call(CallError::Status { status, .. })) if status.as_u16() == 404 => {
            Err(Unread::Refused { code: GONE.to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
