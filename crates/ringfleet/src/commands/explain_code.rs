//! `explain-code`: what a code means and what to do about it, without any network.

use std::process::ExitCode;

use ringcentral::explain;
use serde_json::json;

use super::shown::shown;
use crate::{cli::CodeOptions, exit, output::say};

pub(crate) fn run(options: &CodeOptions) -> anyhow::Result<ExitCode> {
    let found: Vec<_> = options.codes.iter().map(|code| (code, shown(code))).collect();
    if options.json {
        let rows: Vec<_> = found
            .iter()
            .map(|(code, sense)| {
                json!({
                    "code": code,
                    "meaning": sense.map(|sense| sense.meaning),
                    "next_step": sense.and_then(|sense| sense.remedy),
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        for (code, sense) in &found {
            match sense {
                Some(sense) => {
                    say!("{code}: {}", sense.meaning);
                    sense.remedy.iter().for_each(|remedy| say!("  next step: {remedy}"));
                }
                None => {
                    // What its family is about, and where to look it up.
                    let stranger = explain(code);
                    say!("{code}: {}", stranger.means);
                    say!("  next step: {}", stranger.next_step);
                }
            }
        }
    }
    let all = found.iter().all(|(_, sense)| sense.is_some());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}
