//! How many sends a second the simulator takes, from plain sockets in the same process: `throughput [seconds] [connections]`.

use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use ringfleet_simulator::{Simulator, SimulatorConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EXTENSIONS: u32 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |raw| raw.parse());
    let seconds = number(5)?;
    let connections = number(32)?;
    let simulator = Simulator::start(SimulatorConfig { extensions: EXTENSIONS, ..SimulatorConfig::default() }).await?;
    let address = simulator.base_url().replace("http://", "");
    let senders: Vec<(String, String)> = simulator
        .accounts()
        .into_iter()
        .filter_map(|account| {
            let token = simulator.access_token(&account.extension_id)?;
            Some((token, account.numbers.into_iter().next()?))
        })
        .collect();
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds as u64);
    let share = senders.len() / connections;
    let tasks: Vec<_> = senders
        .chunks(share.max(1))
        .map(|senders| tokio::spawn(run(address.clone(), senders.to_vec(), until)))
        .collect();
    for task in tasks {
        task.await??;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let report = simulator.report();
    let rate = report.accepted as f64 / elapsed;
    writeln!(io::stdout(), "{rate:.0} accepted/s over {elapsed:.1} s")?;
    writeln!(io::stdout(), "{report:#?}")?;
    simulator.stop().await;
    Ok(())
}

/// One connection: request, answer, request, answer, going round its senders.
async fn run(address: String, senders: Vec<(String, String)>, until: Instant) -> io::Result<()> {
    let mut tcp = TcpStream::connect(&address).await?;
    tcp.set_nodelay(true)?;
    let mut answer = vec![0; 16 * 1024];
    for (n, (token, from)) in senders.iter().cycle().enumerate() {
        if Instant::now() >= until {
            break;
        }
        let body = format!(
            r#"{{"from":{{"phoneNumber":"{from}"}},"to":[{{"phoneNumber":"+1777{:07}"}}],"text":"{}"}}"#,
            n % 10_000_000,
            "x".repeat(120),
        );
        let request = format!(
            "POST /restapi/v1.0/account/~/extension/~/sms HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        tcp.write_all(request.as_bytes()).await?;
        let mut have = 0;
        while !whole(&answer[..have]) {
            match tcp.read(&mut answer[have..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => have += more,
            }
        }
    }
    Ok(())
}

/// Head and as many bytes of body as it promises.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|raw| raw.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}
