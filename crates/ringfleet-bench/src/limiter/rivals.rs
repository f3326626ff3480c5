//! The limiters of other systems, driving the same simulator from this process: a token bucket with burst, and fixed windows.
//! They share their state perfectly, as no fleet of processes would.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{GCRA, WINDOWS, margin_case, margin_settings, note, settings};
use crate::{
    messages,
    options::Bench,
    simulator::{self, Account, Provider, Simulator},
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

/// Texts of one extension under way at once, as BullMQ's program has them.
const UNDER_WAY: u32 = 4;
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rival {
    /// The plan's limit as burst, refilled evenly over the window: how most limiter crates are set up.
    Gcra,
    /// So many in each window by the clock.
    FixedWindows,
}

impl Rival {
    pub(super) fn name(self) -> &'static str {
        match self {
            Rival::Gcra => GCRA,
            Rival::FixedWindows => WINDOWS,
        }
    }
}

/// `margin`: how much longer than the plan's its own window is.
pub(super) async fn measure(sitting: &Sitting, rival: Rival, margin: Duration) -> anyhow::Result<()> {
    let (window, windows) = (sitting.size.limiter_window, sitting.size.limiter_windows);
    let simulator = Simulator::start(sitting, Provider::at_once(LIMITER_EXTENSIONS, window)).await?;
    let http = simulator::client()?;
    // As long as the backlog would last at full plan: what is left then does not change the figures.
    let patience = window * windows;
    let mut tokens = Vec::new();
    for account in &simulator.accounts {
        tokens.push(login(&http, &simulator, account).await?);
    }
    let begun = Instant::now();
    let end = begun + patience;
    let mut senders = JoinSet::new();
    for (account, token) in simulator.accounts.iter().zip(tokens) {
        let lane = Arc::new(Lane {
            limiter: Limiter::new(rival, window + margin)?,
            left: AtomicU64::new(u64::from(LIMIT * windows)),
            not_before: Mutex::new(begun),
            token,
            account: account.clone(),
            url: format!("{}/restapi/v1.0/account/~/extension/~/sms", simulator.base_url),
        });
        for _ in 0..UNDER_WAY {
            senders.spawn(send_all(lane.clone(), http.clone(), end));
        }
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    let took = begun.elapsed();
    let mut words = format!(
        "{}, {UNDER_WAY} requests of an extension under way, one process, ended after {} s",
        settings(window, windows),
        patience.as_secs()
    );
    let mut case = sitting.case(Bench::Limiter, rival.name());
    if rival == Rival::FixedWindows {
        words = format!("{words}, {}", margin_settings(window, margin));
        case = case.when(margin_case(margin));
    }
    let case = case.with(words);
    note(&case, &simulator.report().await?, took);
    Ok(())
}

struct Lane {
    limiter: Limiter,
    left: AtomicU64,
    /// The end of a pause that the provider asked for.
    not_before: Mutex<Instant>,
    token: String,
    account: Account,
    url: String,
}

enum Limiter {
    Gcra(DefaultDirectRateLimiter),
    Fixed { window: Duration, origin: Instant, used: Mutex<(u128, u32)> },
}

impl Limiter {
    fn new(rival: Rival, window: Duration) -> anyhow::Result<Self> {
        Ok(match rival {
            Rival::Gcra => {
                let burst = NonZeroU32::new(LIMIT).context("a plan allows something")?;
                let quota = Quota::with_period(window / LIMIT).context("a window has a length")?.allow_burst(burst);
                Limiter::Gcra(RateLimiter::direct(quota))
            }
            Rival::FixedWindows => Limiter::Fixed { window, origin: Instant::now(), used: Mutex::default() },
        })
    }

    /// Takes a permit, or tells how long to wait.
    fn permit(&self) -> Result<(), Duration> {
        match self {
            Limiter::Gcra(limiter) => limiter.check().map_err(|not_yet| not_yet.wait_time_from(limiter.clock().now())),
            Limiter::Fixed { window, origin, used } => {
                let since = origin.elapsed().as_nanos();
                let number = since / window.as_nanos();
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                if used.0 != number {
                    *used = (number, 0);
                }
                if used.1 < LIMIT {
                    used.1 += 1;
                    return Ok(());
                }
                let rest = (number + 1) * window.as_nanos() - since;
                Err(Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)))
            }
        }
    }
}

async fn send_all(lane: Arc<Lane>, http: reqwest::Client, end: Instant) -> anyhow::Result<()> {
    loop {
        let number = match lane.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(number) => number,
            Err(_) => return Ok(()),
        };
        while !send(&lane, &http, number, end).await? {
            if Instant::now() > end {
                return Ok(());
            }
        }
    }
}

/// One request, when the limiter permits it; `false` when it was refused or the time is over.
async fn send(lane: &Lane, http: &reqwest::Client, number: u64, end: Instant) -> anyhow::Result<bool> {
    loop {
        let pause = *lane.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = match pause.checked_duration_since(Instant::now()) {
            Some(pause) if !pause.is_zero() => pause,
            _ => match lane.limiter.permit() {
                Ok(()) => break,
                Err(wait) => wait,
            },
        };
        if Instant::now() + wait > end {
            tokio::time::sleep_until(end.into()).await;
            return Ok(false);
        }
        tokio::time::sleep(wait).await;
    }
    let from = lane.account.numbers.first().context("an extension has no number")?;
    let body = json!({
        "from": {"phoneNumber": from},
        "to": [{"phoneNumber": format!("+1666{number:07}")}],
        "text": messages::text(number),
    });
    let request = http.post(&lane.url).bearer_auth(&lane.token).json(&body).timeout(REQUEST_DEADLINE);
    let answer = request.send().await?;
    match answer.status().as_u16() {
        200 => Ok(true),
        429 => {
            let told = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let until = Instant::now() + Duration::from_secs(told.unwrap_or(30));
            let mut pause = lane.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            *pause = until.max(*pause);
            Ok(false)
        }
        status => bail!("a text was answered with {status}"),
    }
}

async fn login(http: &reqwest::Client, simulator: &Simulator, account: &Account) -> anyhow::Result<String> {
    let grant = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", account.jwt.as_str())];
    let request = http.post(format!("{}/restapi/oauth/token", simulator.base_url));
    let request = request.basic_auth(&simulator.client_id, Some(&simulator.client_secret)).form(&grant);
    let answer: Value = request.timeout(REQUEST_DEADLINE).send().await?.error_for_status()?.json().await?;
    answer["access_token"].as_str().map(str::to_owned).context("a login brought no token")
}
