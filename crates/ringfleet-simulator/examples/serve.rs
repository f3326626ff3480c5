//! Starts a simulator, prints its announcement as one JSON line and serves until it is interrupted.
//!
//! `serve [port] [extensions] [window in seconds]`

use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ringfleet_simulator::{AppSettings, Simulator, SimulatorConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| -> Result<u32, std::num::ParseIntError> {
        arguments.next().map_or(Ok(default), |raw| raw.parse())
    };
    let port = u16::try_from(number(0)?)?;
    let extensions = number(10)?;
    let window = number(60)?;
    let config = SimulatorConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        extensions,
        window: Duration::from_secs(window.into()),
        app: AppSettings { refresh_tokens: true, ..AppSettings::default() },
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config).await?;
    writeln!(std::io::stdout(), "{}", simulator.announce())?;
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}
