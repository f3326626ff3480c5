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
    let known = found.iter().filter(|(_, sense)| sense.is_some()).count();
    Ok(match (known, found.len() - known) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_all_some_or_none_are_known() {
        for (codes, code) in [
            (&["OAU-211", "CMN-401"][..], ExitCode::SUCCESS),
            (&["OAU-211", "XYZ-1", "CMN-401"], ExitCode::from(exit::PARTLY)),
            (&["XYZ-1", "XYZ-2"], ExitCode::from(exit::FAILED)),
        ] {
            let options = CodeOptions { codes: codes.iter().map(ToString::to_string).collect(), json: true };
            assert_eq!(format!("{:?}", run(&options).unwrap()), format!("{code:?}"), "{codes:?}");
        }
    }
}
