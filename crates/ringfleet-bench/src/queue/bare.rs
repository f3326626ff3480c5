//! What a message's way costs without the scripts: the commands that they call, and nothing else.
//!
//! They are written down while a backlog is drained, and sent once more, as they were, to a server that holds the same backlog.
//! No rule is followed and nothing is promised, so this is no way to send: it is what these records cost without the
//! rules, and what lies above it is the interpreter.

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use redis::{Cmd, Pipeline};
use tokio::task::JoinHandle;

use super::{
    COMMANDS, CPU, OURS,
    drain::{Fleet, Stage},
};
use crate::{figure::shown, options::Bench, redis::Redis, sitting::Sitting};

const MESSAGES: u64 = 20_000;
const LANES: u64 = 1_000;
/// Pipelines under way; Redis keeps their order.
const UNDER_WAY: usize = 8;
/// The case of its figures.
pub(crate) const BARE: &str = "its commands without scripts and rules";
/// Ends what is written down.
const END: &str = "every command was seen";

pub(super) async fn measure(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    let mut stage = Stage::set(redis, Fleet::PEERS, 1, (MESSAGES, LANES)).await?;
    let seen = write_down(redis).await?;
    stage.drain_whole().await?;
    redis.echo(END).await?;
    let scripts = seen.await??;
    let pipelines: Vec<Pipeline> = scripts.into_iter().map(pipeline).collect();
    ensure!(!pipelines.is_empty(), "MONITOR has shown no script");

    let _same = Stage::set(redis, Fleet::PEERS, 1, (MESSAGES, LANES)).await?;
    let before = redis.info().await?;
    stream::iter(pipelines).map(|pipeline| redis.send(pipeline)).buffered(UNDER_WAY).try_collect::<()>().await?;
    let spent = redis.info().await?.since(before);

    let case = sitting.case(Bench::Queue, OURS).when(BARE).with(format!(
        "what the scripts called for {} messages in {}, in as many pipelines",
        shown(MESSAGES as f64),
        Fleet::PEERS.words()
    ));
    case.note(CPU, "µs/message", spent.cpu_us / MESSAGES as f64);
    case.note(COMMANDS, "commands/message", spent.commands / MESSAGES as f64);
    Ok(())
}

/// Writes down what scripts call, script by script, until [`END`].
async fn write_down(redis: &Redis) -> anyhow::Result<JoinHandle<anyhow::Result<Vec<Vec<Cmd>>>>> {
    let mut lines = Box::pin(redis.monitor().await?.into_on_message::<String>());
    Ok(tokio::spawn(async move {
        let mut scripts: Vec<Vec<Cmd>> = Vec::new();
        while let Some(line) = lines.next().await {
            let (from, words) = line.split_once("] ").context("a line of MONITOR has no client")?;
            if from.ends_with(" lua") {
                scripts.last_mut().context("a command of a script before the script")?.push(command(words)?);
            } else if words.starts_with("\"EVALSHA\"") {
                scripts.push(Vec::new());
            } else if words.contains(END) {
                return Ok(scripts);
            }
        }
        anyhow::bail!("MONITOR ended before the drain")
    }))
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command).ignore();
    }
    pipeline
}

/// A command as MONITOR shows it: words in quotes, what is not printable escaped.
fn command(shown: &str) -> anyhow::Result<Cmd> {
    let mut command = Cmd::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = shown.bytes();
    while let Some(byte) = bytes.next() {
        match (&mut word, byte) {
            (None, b'"') => word = Some(Vec::new()),
            (None, _) => {}
            (Some(letters), b'"') => {
                command.arg(std::mem::take(letters));
                word = None;
            }
            (Some(letters), b'\\') => letters.push(escaped(&mut bytes).context("MONITOR escapes something strangely")?),
            (Some(letters), letter) => letters.push(letter),
        }
    }
    ensure!(word.is_none(), "a line of MONITOR ends within a word");
    Ok(command)
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'x' => {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(shown: &str) -> Vec<Vec<u8>> {
        let command = command(shown).unwrap();
        command
            .args_iter()
            .map(|arg| match arg {
                redis::Arg::Simple(word) => word.to_vec(),
                _ => panic!("no word"),
            })
            .collect()
    }

    #[test]
    fn a_command_is_read_as_redis_has_got_it() {
        assert_eq!(words(r#""HSET" "{rf:0}:m" "" "a b""#), [&b"HSET"[..], b"{rf:0}:m", b"", b"a b"]);
        assert_eq!(words(r#""SET" "\x00\xff\\\"\n\r\t\a\b""#), [&b"SET"[..], b"\x00\xff\\\"\n\r\t\x07\x08"]);
    }

    #[test]
    fn half_a_line_is_no_command() {
        assert!(command(r#""SET" "k"#).is_err());
        assert!(command(r#""SET" "\x0"#).is_err());
    }
}
