//! Tells webhooks what has happened. A loop gathers changes every now and then; each webhook gets one request at a time, and what
//! happens meanwhile is counted together, as RingCentral's counts suggest.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::happenings::{Happening, happenings};
use crate::clock::Nanos;
use crate::ledger::{LedgerLine, WebhookEntry, WebhookEvent, WebhookLine};
use crate::provider::{Millis, instant_body};
use crate::world::{Extension, FilterKind, Subscription, World, lock, mix};

/// Bodies on their way to one webhook.
struct Parcel {
    index: usize,
    subscription: String,
    address: String,
    verification_token: Option<String>,
    notifications: Vec<(WebhookEvent, Value)>,
}

/// Runs until it is dropped; deliveries end with it.
pub(crate) async fn run(world: Arc<World>) {
    let mut deliveries = JoinSet::new();
    loop {
        tokio::time::sleep(world.config.notify_every).await;
        while deliveries.try_join_next().is_some() {}
        let subscribers: Vec<usize> = lock(&world.subscribers).iter().copied().collect();
        for index in subscribers {
            for parcel in gather(&world, index) {
                deliveries.spawn(deliver(Arc::clone(&world), parcel));
            }
        }
    }
}

/// Adds to what waits, and takes it for every webhook that is free.
fn gather(world: &World, index: usize) -> Vec<Parcel> {
    let now = world.clock.now();
    let mut extension = world.extension(index);
    extension.subscriptions.retain(|subscription| now < subscription.expires_at);
    let found = happenings(world, &mut extension, now);
    let Extension { messages, subscriptions, .. } = &mut *extension;
    let live = |subscription: &&mut Subscription| subscription.blacklisted_at.is_none();
    for subscription in subscriptions.iter_mut().filter(live) {
        for (place, happening) in &found {
            let message = &messages[*place];
            for (at, filter) in subscription.filters.iter().enumerate() {
                if filter.counts(message) {
                    let changes = subscription.waiting.changes.entry((at, message.type_name())).or_default();
                    match happening {
                        Happening::Appeared => changes.new.push(message.id),
                        Happening::Updated => changes.updated += 1,
                    }
                }
                let arrived = *happening == Happening::Appeared && message.is_inbound_text();
                if arrived && filter.kind == FilterKind::Instant {
                    subscription.waiting.push(at, instant_body(world, index, message, now));
                }
            }
        }
        remind(subscription, now);
    }
    let free =
        |subscription: &&mut Subscription| live(subscription) && !subscription.busy && !subscription.waiting.is_empty();
    subscriptions.iter_mut().filter(free).map(|subscription| pack(world, index, subscription, now)).collect()
}

/// Inside the last `threshold` seconds, every `interval` seconds (documented).
fn remind(subscription: &mut Subscription, now: Nanos) {
    let left = subscription.expires_at.saturating_sub(now) / 1_000_000_000;
    for (at, filter) in subscription.filters.iter_mut().enumerate() {
        let FilterKind::Reminder { threshold, interval } = filter.kind else { continue };
        let due = filter.reminded_at.is_none_or(|last| last + interval * 1_000_000_000 <= now);
        if left <= threshold && due {
            filter.reminded_at = Some(now);
            subscription.waiting.push(at, json!({"subscriptionId": subscription.id, "expiresIn": left}));
        }
    }
}

fn pack(world: &World, index: usize, subscription: &mut Subscription, now: Nanos) -> Parcel {
    let waiting = std::mem::take(&mut subscription.waiting);
    subscription.busy = true;
    let extension_id = world.directory.extension_id(index).to_string();
    let envelope = |filter: usize, body: Value| {
        let secret = world.counters.next_secret();
        json!({
            "uuid": uuid(mix(world.config.seed ^ secret), mix(secret)),
            "event": subscription.filters[filter].text,
            "timestamp": Millis(world.clock.timestamp(now)),
            "subscriptionId": subscription.id,
            "ownerId": extension_id,
            "body": body,
        })
    };
    let mut notifications = Vec::new();
    for (filter, body) in waiting.events {
        let event = match subscription.filters[filter].kind {
            FilterKind::Reminder { .. } => WebhookEvent::Reminder,
            FilterKind::MissedCalls => WebhookEvent::MissedCall,
            FilterKind::Instant | FilterKind::Messages { .. } => WebhookEvent::Instant,
        };
        notifications.push((event, envelope(filter, body)));
    }
    for filter in 0..subscription.filters.len() {
        let of_filter = waiting.changes.iter().filter(|((at, _), _)| *at == filter);
        let changes: Vec<_> = of_filter
            .map(|((_, kind), changes)| {
                let mut change = json!({"type": kind, "newCount": changes.new.len(), "updatedCount": changes.updated});
                if !changes.new.is_empty() {
                    change["newMessageIds"] = json!(changes.new);
                }
                change
            })
            .collect();
        if !changes.is_empty() {
            let body = json!({
                "accountId": world.directory.account_id().to_string(),
                "extensionId": extension_id,
                "lastUpdated": Millis(world.clock.timestamp(now)),
                "changes": changes,
            });
            notifications.push((WebhookEvent::MessageStore, envelope(filter, body)));
        }
    }
    Parcel {
        index,
        subscription: subscription.id.clone(),
        address: subscription.address.clone(),
        verification_token: subscription.verification_token.clone(),
        notifications,
    }
}

async fn deliver(world: Arc<World>, parcel: Parcel) {
    for (event, body) in &parcel.notifications {
        let token = parcel.verification_token.as_deref();
        let status = world.webhooks.notify(&parcel.address, token, body, world.config.webhook_timeout).await;
        let delivered = status.is_some_and(|status| status.is_success());
        let entry = WebhookEntry {
            at: world.clock.now(),
            subscription: parcel.subscription.clone(),
            event: *event,
            delivered,
            status: status.map(|status| status.as_u16()),
        };
        if !judge(&world, &parcel, entry) {
            break;
        }
    }
    let mut extension = world.extension(parcel.index);
    if let Some(subscription) = find(&mut extension, &parcel.subscription) {
        subscription.busy = false;
    }
}

/// Writes down how it went; `false` when nothing more may be sent.
fn judge(world: &World, parcel: &Parcel, entry: WebhookEntry) -> bool {
    let mut extension = world.extension(parcel.index);
    let go_on = find(&mut extension, &parcel.subscription).is_some_and(|subscription| {
        subscription.failures = if entry.delivered { 0 } else { subscription.failures + 1 };
        if subscription.failures >= world.config.webhook_failures {
            subscription.blacklisted_at.get_or_insert(entry.at);
        }
        subscription.blacklisted_at.is_none()
    });
    note(world, parcel.index, &mut extension, entry);
    go_on
}

/// Puts a request to a webhook into the ledger.
pub(crate) fn note(world: &World, index: usize, extension: &mut Extension, entry: WebhookEntry) {
    let id = world.directory.extension_id(index);
    world.ledger_file.append(|| LedgerLine::Webhook(WebhookLine::new(id, &entry)));
    extension.webhook_log.push(entry);
}

fn find<'a>(extension: &'a mut Extension, id: &str) -> Option<&'a mut Subscription> {
    extension.subscriptions.iter_mut().find(|subscription| subscription.id == id)
}

/// 128 bits in the shape of a UUID.
pub(crate) fn uuid(high: u64, low: u64) -> String {
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
