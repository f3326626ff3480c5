//! BullMQ's own limiter in front of the same simulator; `bench/peers/bullmq/limiter.js` does the work.

use std::{fs, time::Duration};

use anyhow::Context;
use serde_json::json;
use tokio::process::Command;

use super::{BULLMQ, margin_case, margin_settings, note, settings};
use crate::{
    options::Bench,
    peers,
    redis::{Keep, Redis},
    simulator::{Provider, Simulator},
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

const SECRET: &str = "RINGFLEET_BENCH_SECRET";

/// `margin`: how much longer than the plan's the window of its limiter is.
pub(super) async fn measure(sitting: &Sitting, margin: Duration) -> anyhow::Result<()> {
    let (window, windows) = (sitting.size.limiter_window, sitting.size.limiter_windows);
    let simulator = Simulator::start(sitting, Provider::at_once(LIMITER_EXTENSIONS, window)).await?;
    let redis = Redis::start(Keep::Memory).await?;
    let folder = tempfile::tempdir()?;
    let accounts = folder.path().join("accounts.json");
    let listed = simulator
        .accounts
        .iter()
        .map(|account| json!({"extension_id": account.extension_id, "numbers": account.numbers, "jwt": account.jwt}));
    fs::write(&accounts, serde_json::to_vec(&listed.collect::<Vec<_>>())?)?;
    // Its orderly end, as the other rivals'.
    let seconds = (window * windows).as_secs();
    let mut command: Command = peers::command(sitting, "bullmq")?;
    command.args(["limiter", "--redis", &redis.url(), "--simulator", &simulator.base_url, "--accounts"]);
    command.arg(&accounts).args(["--client-id", &simulator.client_id, "--client-secret-env", SECRET]);
    command.args(["--window-ms", &(window + margin).as_millis().to_string(), "--limit", &LIMIT.to_string()]);
    command.args(["--per-extension", &(LIMIT * windows).to_string(), "--seconds", &seconds.to_string()]);
    command.env(SECRET, &simulator.client_secret);
    let told = peers::last_line(command, Duration::from_secs(seconds + 90)).await?;
    let took = told["seconds"].as_f64().filter(|took| *took > 0.0).context("it does not tell how long it took")?;
    let case = sitting.case(Bench::Limiter, BULLMQ).when(margin_case(margin)).with(format!(
        "{}, a queue with a limiter of {LIMIT} for each extension, 4 jobs of it at once, one process, {}",
        settings(window, windows),
        margin_settings(window, margin)
    ));
    note(&case, &simulator.report().await?, Duration::from_secs_f64(took));
    Ok(())
}
