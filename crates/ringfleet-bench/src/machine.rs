//! What the figures were measured on, for those who compare them with their own.

use std::{collections::BTreeMap, env, ffi::OsStr, fs, process::Command};

use crate::options::Options;

/// Facts by name; what the system does not tell is left out.
pub(crate) fn describe(options: &Options) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::new();
    let mut tell = |name, fact: Option<String>| {
        if let Some(fact) = fact {
            facts.insert(name, fact);
        }
    };
    let cores = std::thread::available_parallelism().ok().map(|cores| cores.to_string());
    tell("cores", cores);
    tell("processor", line_of("/proc/cpuinfo", "model name"));
    tell("memory", line_of("/proc/meminfo", "MemTotal"));
    tell("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()));
    tell("load at the beginning", fs::read_to_string("/proc/loadavg").ok().map(|text| first_words(&text, 3)));
    // The one that the guards start.
    let redis = env::var_os("RINGFLEET_REDIS_SERVER").filter(|named| !named.is_empty());
    let redis = redis.unwrap_or_else(|| "redis-server".into());
    tell("redis-server", said(redis, &["--version"]).map(|text| first_words(&text, 3)));
    tell("rustc", said("rustc", &["--version"]));
    tell("node", said("node", &["--version"]));
    tell("python", said("python3", &["--version"]));
    let root = options.root.to_string_lossy();
    tell("commit", said("git", &["-C", &root, "describe", "--always", "--dirty"]));
    tell("sizes", Some(if options.quick { "--quick" } else { "whole" }.to_owned()));
    tell("rounds", Some(options.repeats().to_string()));
    facts
}

fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}

fn first_words(text: &str, words: usize) -> String {
    text.split_whitespace().take(words).collect::<Vec<_>>().join(" ")
}
