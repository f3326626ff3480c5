//! The alerts of docs/metrics.md as rules for Prometheus, and the proof that each one fires when it should, alone.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::{cargo::Workspace, child, files};

mod cases;

const DOCUMENT: &str = "docs/metrics.md";
pub(crate) const RULES: &str = "deploy/prometheus/ringfleet.rules.yml";
/// Sections of the document, and the severity of what stands in their tables.
const SECTIONS: [(&str, &str); 2] =
    [("## What to wake somebody for", "page"), ("## What to look at on a working day", "ticket")];

struct Alert {
    name: String,
    summary: String,
    expression: String,
    /// How long it must be true, as Prometheus writes it.
    lasts: Option<String>,
    remedy: String,
}

/// Writes the rules anew from the document.
pub(crate) fn write() -> Result<()> {
    let root = Workspace::find()?.root;
    let path = root.join(RULES);
    std::fs::write(&path, rules(&files::read(&root.join(DOCUMENT))?)?).with_context(|| path.display().to_string())?;
    println!("{RULES} is written");
    Ok(())
}

/// The rules are those of the document, Prometheus takes them, and its own test runner sees each fire.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let document = files::read(&workspace.root.join(DOCUMENT))?;
    let rules_file = workspace.root.join(RULES);
    ensure!(
        files::read(&rules_file)? == rules(&document)?,
        "{RULES} is not what the tables of {DOCUMENT} say: run cargo xtask alerts"
    );
    let dir = workspace.target.join("alerts");
    std::fs::create_dir_all(&dir)?;
    let tests_file = dir.join("tests.yml");
    std::fs::write(&tests_file, tests(&document, &rules_file.display().to_string())?)?;
    let is_there = child::works(child::command("promtool").arg("--version"));
    ensure!(
        is_there,
        "promtool is missing: it comes with Prometheus; cargo xtask test --only tools installs it on Debian"
    );
    child::run(child::command("promtool").args(["check", "rules"]).arg(&rules_file))?;
    child::run(child::command("promtool").args(["test", "rules"]).arg(&tests_file))
}

/// A case after the other: its series, and the alerts that fire, no more and no fewer.
fn tests(document: &str, rules_file: &str) -> Result<String> {
    let alerts = alerts(document)?;
    let mut text = format!("rule_files: ['{rules_file}']\nevaluation_interval: 1m\ntests:\n");
    for case in cases::all() {
        writeln!(text, "  - name: {}\n    interval: 1m\n    input_series:", case.name)?;
        for (series, values) in case.series() {
            writeln!(text, "      - {{series: '{series}}}', values: '{values}'}}")?;
        }
        let asked = "ALERTS{alertstate=\"firing\"}";
        write!(text, "    promql_expr_test:\n      - {{expr: '{asked}', eval_time: 124m, exp_samples: [")?;
        for firing in case.alerts {
            let (name, labels) = firing.split_once('{').unwrap_or((firing, "}"));
            let known = alerts.iter().find(|(_, alert)| alert.name == name);
            let (severity, _) = known.with_context(|| format!("{DOCUMENT} has no {name}"))?;
            let labels = labels.trim_end_matches('}');
            let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
            let sample =
                format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",severity=\"{severity}\"{labels}}}");
            write!(text, "{{labels: '{sample}', value: 1}}, ")?;
        }
        writeln!(text, "]}}")?;
    }
    let never = |name: &String| !cases::all().any(|case| case.alerts.iter().any(|a| a.split('{').next() == Some(name)));
    let untested: Vec<String> = alerts.into_iter().map(|(_, alert)| alert.name).filter(never).collect();
    ensure!(untested.is_empty(), "no case lets these fire: {}", untested.join(", "));
    Ok(text)
}

fn rules(document: &str) -> Result<String> {
    let mut text = String::from(
        "# Alerts for Prometheus. Written by `cargo xtask alerts` from docs/metrics.md; don't edit it.\ngroups:\n",
    );
    let mut group = "";
    for (severity, alert) in alerts(document)? {
        if severity != group {
            group = severity;
            writeln!(text, "  - name: ringfleet-{group}\n    rules:")?;
        }
        writeln!(text, "      - alert: {}\n        expr: '{}'", alert.name, alert.expression)?;
        if let Some(lasts) = alert.lasts {
            writeln!(text, "        for: {lasts}")?;
        }
        writeln!(text, "        labels: {{severity: {severity}}}\n        annotations:")?;
        writeln!(text, "          summary: '{}'", quoted(&alert.summary))?;
        writeln!(text, "          description: '{}'", quoted(&alert.remedy))?;
    }
    Ok(text)
}

/// Inside YAML's single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// The title of each, with its expression.
pub(crate) fn conditions(document: &str) -> Result<Vec<(String, String)>> {
    Ok(alerts(document)?.into_iter().map(|(_, alert)| (alert.summary, alert.expression)).collect())
}

/// With the severity of each, in the order of the document.
fn alerts(document: &str) -> Result<Vec<(&'static str, Alert)>> {
    let mut found = Vec::new();
    for (section, severity) in SECTIONS {
        let (_, rest) = document.split_once(section).with_context(|| format!("{DOCUMENT} has no {section:?}"))?;
        let table = rest.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
        for row in table {
            found.push((severity, alert(row).with_context(|| format!("{DOCUMENT}: {row}"))?));
        }
    }
    Ok(found)
}

/// A row such as ``| Title | `expression` for 2 min | remedy |``.
fn alert(row: &str) -> Result<Alert> {
    let row = row.replace("\\|", "\0");
    let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('\0', "|"));
    let (Some(summary), Some(when), Some(remedy)) = (cells.next(), cells.next(), cells.next()) else {
        anyhow::bail!("it has no three cells")
    };
    let expression = when.strip_prefix('`').and_then(|rest| rest.split_once('`'));
    let (expression, span) = expression.context("its second cell is no expression between backticks")?;
    ensure!(!expression.contains('\''), "its expression holds a quotation mark that YAML would end it at");
    let lasts = match span.trim() {
        "" => None,
        span => {
            let span = span.strip_prefix("for ").and_then(|span| span.split_once(' '));
            let (number, unit) = span.context("behind its expression stands something else than `for N min`")?;
            Some(format!("{}{}", number.parse::<u32>()?, if unit == "h" { "h" } else { "m" }))
        }
    };
    let words = summary.split_whitespace().filter(|word| !["The", "A", "the", "a"].contains(word));
    let mut name = "Ringfleet".to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    ensure!(name.chars().all(|c| c.is_ascii_alphanumeric()), "its title makes no name of letters");
    Ok(Alert { name, summary, expression: expression.to_owned(), lasts, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_a_rule() {
        let row = r#"| The shard's gone | `sum(a{b=~"c\|d"}) > 0` for 6 h | Don't. |"#;
        assert!(alert(row).is_err(), "an apostrophe in its name");
        let alert = alert(&row.replace("shard's", "shard is")).unwrap();
        assert_eq!(
            (alert.name.as_str(), alert.expression.as_str()),
            ("RingfleetShardIsGone", r#"sum(a{b=~"c|d"}) > 0"#)
        );
        assert_eq!((alert.lasts.as_deref(), alert.remedy.as_str()), (Some("6h"), "Don't."));
        assert!(super::alert("| a | `x` grows | c |").is_err());
        assert!(super::alert("| a | x > 0 | c |").is_err());
    }

    #[test]
    fn the_rules_are_those_of_the_document_and_each_fires_in_a_case() {
        let root = files::root();
        let document = files::read(&root.join(DOCUMENT)).unwrap();
        assert_eq!(files::read(&root.join(RULES)).unwrap(), rules(&document).unwrap(), "run cargo xtask alerts");
        tests(&document, "rules.yml").unwrap();
    }

    #[test]
    fn what_a_person_is_to_read_about_a_lost_store_is_there_and_named_by_each_alert_that_leads_to_it() {
        let root = files::root();
        let document = files::read(&root.join(DOCUMENT)).unwrap();
        let file = "docs/delivery-semantics.md";
        let told = files::read(&root.join(file)).unwrap();
        for name in ["RingfleetStoreFlushedOrExchanged", "RingfleetNoWorker"] {
            let (_, alert) = alerts(&document).unwrap().into_iter().find(|(_, alert)| alert.name == name).unwrap();
            let sections: Vec<_> = alert.remedy.split('*').skip(1).step_by(2).collect();
            assert!(!sections.is_empty() && alert.remedy.contains(file), "{name}: {}", alert.remedy);
            for section in sections {
                assert!(told.contains(&format!("**{section}.**")), "{name} names {section}, which {file} has not");
            }
        }
    }
}
