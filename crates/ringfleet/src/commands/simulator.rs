//! `simulator`: the stand-in for RingCentral, on its own.

use std::process::ExitCode;

use ringfleet_simulator::{AppSettings, GrantKind, Latency, Simulator, SimulatorConfig};

use crate::{
    cli::SimulatorOptions,
    output::{remark, say},
    serve,
};

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
        calls_per_extension: options.calls,
        access_token_ttl: options.access_ttl,
        refresh_token_ttl: options.refresh_ttl,
        app: app(&options),
        auth_per_app: options.auth_per_app,
        auth_window: options.auth_window,
        seed: options.seed,
        ledger_file: options.ledger,
        ..SimulatorConfig::default()
    })
    .await?;
    say!("{}", simulator.announce());
    remark!("the simulator runs until Ctrl-C; its verdict: {}/simulator/report", simulator.base_url());
    stop.cancelled().await;
    simulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn app(options: &SimulatorOptions) -> AppSettings {
    let mut app = AppSettings {
        public_client: options.public_client,
        refresh_tokens: options.refresh_tokens,
        redirect_uris: options.redirect_uri.clone(),
        ..AppSettings::default()
    };
    if options.password_grant {
        app.grants.push(GrantKind::Password);
    }
    app
}
