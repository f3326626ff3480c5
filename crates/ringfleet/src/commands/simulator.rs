//! `simulator`: the stand-in for RingCentral, on its own.

use std::process::ExitCode;

use ringfleet_simulator::{Latency, Simulator, SimulatorConfig};

use crate::{cli::SimulatorOptions, serve};

#[allow(clippy::print_stdout, reason = "the first line tells programs where everything is")]
pub(crate) async fn run(options: SimulatorOptions) -> anyhow::Result<ExitCode> {
    let sms_latency = if options.latency.is_zero() { Latency::None } else { Latency::Fixed(options.latency) };
    let stop = serve::stop_on_signals()?;
    let simulator = Simulator::start(SimulatorConfig {
        listen: options.listen,
        extensions: options.extensions,
        window: options.window,
        penalty: options.penalty,
        sms_latency,
        store_lag: options.store_lag,
        access_token_ttl: options.token_ttl,
        refresh_tokens: options.refresh_tokens,
        auth_per_app: options.auth_per_app,
        seed: options.seed,
        ledger_file: options.ledger,
        ..SimulatorConfig::default()
    })
    .await?;
    println!("{}", simulator.announce());
    eprintln!("the simulator runs until Ctrl-C; its verdict: {}/simulator/report", simulator.base_url());
    stop.cancelled().await;
    simulator.stop().await;
    Ok(ExitCode::SUCCESS)
}
