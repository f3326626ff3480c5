//! What an import tells at its end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ringcentral::ExtensionId;
use ringfleet_producer::{Forecast, ImportSummary, Producer, segments::OutsideGsm7};
use ringfleet_store::Group;
use serde_json::json;

use crate::{cli::ImportOptions, config::Settings, output::say, table};

/// In place of a forecast.
const NOT_RECKONED: &str = "how long the rows take was not reckoned: more than a million of them differ in send_at, send_by or \
                            priority from the one before";

/// What it goes by, beside the summary itself.
pub(super) struct Told<'a> {
    pub(super) options: &'a ImportOptions,
    pub(super) settings: &'a Settings,
    pub(super) producer: &'a Producer,
}

impl Told<'_> {
    pub(super) fn summary(&self, summary: &ImportSummary) -> anyhow::Result<()> {
        let options = self.options;
        let forecast = summary.forecast(self.settings.rules.plan(Group::Medium), Timestamp::now().as_millisecond());
        let example = summary.example.as_ref().filter(|_| options.show_private);
        if options.json {
            let mut told = serde_json::to_value(summary)?;
            told["dry_run"] = options.dry_run.into();
            told["forecast"] = serde_json::to_value(&forecast)?;
            if let Some((line, text)) = example {
                told["example"] = json!({"line": line, "text": text.expose()});
            }
            say!("{}", table::for_stdout(&serde_json::to_string_pretty(&told)?));
            return Ok(());
        }
        for fault in &summary.faults {
            say!("line {}, {}", fault.line, fault.refusal);
        }
        if summary.faults_not_listed > 0 {
            let n = summary.faults_not_listed;
            match &options.faults {
                Some(file) => say!("… and {n} more faults, in {}", file.display()),
                None => say!("… and {n} more faults, not listed; --faults FILE writes down all of them"),
            }
        }
        let counts = &summary.counts;
        if counts.accepted > 0 {
            say!("{}", segments(summary));
        }
        let quiet_hours = self.settings.worker.quiet_hours.is_some();
        if let Some(time) = time(forecast.as_ref(), counts.accepted, quiet_hours, |id| self.extension(id)) {
            say!("{time}");
        }
        match example {
            // Quoted, so that no control character of a text reaches the terminal.
            Some((line, text)) => say!("the text of line {line} is {:?}", text.expose()),
            None if options.dry_run && options.template.is_some() && summary.example.is_some() => {
                say!("--show-private shows the first text as it would go out");
            }
            None => {}
        }
        let (rows, refused) = (counts.rows, counts.refused);
        if options.dry_run {
            let (good, twice) = (counts.accepted, counts.duplicates);
            say!("{rows} rows read: {good} are good, {twice} more stand in the file twice, {refused} would be refused");
            say!("nothing was enqueued, and which of them were taken in before was not looked at");
        } else {
            let (enqueued, duplicates) = (counts.accepted, counts.duplicates);
            say!("{rows} rows read: {enqueued} enqueued, {duplicates} duplicates of earlier ones, {refused} refused");
        }
        Ok(())
    }

    /// As people name it.
    fn extension(&self, id: &str) -> String {
        let known = ExtensionId::try_new(id).map(|id| self.producer.directory().book().who(&id).to_string());
        known.unwrap_or_else(|_| format!("extension {id}"))
    }
}

fn segments(summary: &ImportSummary) -> String {
    let counts = &summary.counts;
    let all = format!("{} texts, {} segments", counts.accepted, counts.segments);
    let Some(OutsideGsm7 { line, character }) = summary.first_outside_gsm7 else { return all };
    let (more, first) = (counts.outside_gsm7, u32::from(character));
    format!("{all}; {more} hold characters outside GSM-7 (first: line {line}, U+{first:04X})")
}

/// What the rows take that went in; `None` if none did.
fn time(
    forecast: Option<&Forecast>,
    accepted: u64,
    quiet_hours: bool,
    extension: impl Fn(&str) -> String,
) -> Option<String> {
    match forecast {
        Some(forecast) => Some(pace(forecast, &extension(&forecast.busiest.extension), quiet_hours)),
        None => (accepted > 0).then(|| NOT_RECKONED.to_owned()),
    }
}

fn pace(forecast: &Forecast, extension: &str, quiet_hours: bool) -> String {
    let Forecast { limit, window_ms, busiest, too_late } = forecast;
    let window = Duration::from_millis((*window_ms).into());
    let assumed = if quiet_hours { ", no other traffic and no quiet hours" } else { " and no other traffic" };
    let given = format!(
        "from now on, with an empty queue{assumed}, at {limit} texts in {window:?} for each extension (plans.medium)"
    );
    let texts = busiest.texts;
    let late = format!("about {too_late} would come too late for their send_by");
    match (longest_wait(busiest.longest_wait_ms), *too_late) {
        (None, 0) => format!("{given}, each text goes as soon as it is due"),
        // What is too late gets no turn, so that nobody waits for it.
        (None, _) => format!("{given}, {late}; each other text goes as soon as it is due"),
        (Some(wait), too_late) => {
            let waits = format!("{extension} takes longest: one of its {texts} texts waits {wait} for its turn");
            if too_late == 0 { format!("{given}, {waits}") } else { format!("{given}, {waits}; {late}") }
        }
    }
}

/// As exact as it is worth; `None` if nobody would notice.
fn longest_wait(ms: i64) -> Option<String> {
    let exact = SignedDuration::from_millis(if ms < 10_000 { ms } else { ms / 1_000 * 1_000 });
    (ms > 0).then(|| format!("{exact:#}"))
}

#[cfg(test)]
mod tests {
    use ringfleet_producer::Busiest;

    use super::*;

    fn forecast(longest_wait_ms: i64, too_late: u64) -> Forecast {
        let busiest = Busiest { extension: "400129284008".into(), texts: 800, longest_wait_ms };
        Forecast { limit: 40, window_ms: 60_000, busiest, too_late }
    }

    #[test]
    fn how_long_the_rows_take_is_told_with_all_that_is_assumed() {
        let given = "at 40 texts in 60s for each extension (plans.medium)";
        assert_eq!(
            pace(&forecast(1_140_000, 0), "extension 102", false),
            format!(
                "from now on, with an empty queue and no other traffic, {given}, extension 102 takes longest: one of \
                 its 800 texts waits 19m for its turn"
            )
        );
        let late = pace(&forecast(1_140_500, 12), "extension 102", true);
        assert!(late.contains("queue, no other traffic and no quiet hours, at"), "{late}");
        assert!(
            late.ends_with("texts waits 19m for its turn; about 12 would come too late for their send_by"),
            "{late}"
        );
        let none_waits = pace(&forecast(0, 10), "extension 102", false);
        assert!(
            none_waits.ends_with(
                "(plans.medium), about 10 would come too late for their send_by; each other text goes as soon as it is due"
            ),
            "{none_waits}"
        );
        let short = pace(&forecast(0, 0), "extension 102", false);
        assert!(short.ends_with("(plans.medium), each text goes as soon as it is due"), "{short}");
    }

    #[test]
    fn that_nothing_was_reckoned_is_told_if_rows_went_in() {
        let told =
            |forecast: Option<&Forecast>, accepted| time(forecast, accepted, false, |id| format!("extension {id}"));
        let not_reckoned = told(None, 1_000_002).unwrap();
        assert!(not_reckoned.contains("was not reckoned: more than a million"), "{not_reckoned}");
        assert_eq!(told(None, 0), None);
        assert!(told(Some(&forecast(9_000, 0)), 800).unwrap().contains("extension 400129284008 takes longest"));
    }
}
