//! The number of workers that docs/metrics.md reckons: tried in Prometheus' test runner, and the same wherever it stands.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::{cargo::Workspace, child, files, metrics::DOCUMENT};

mod cases;

/// As the document writes it, on one line.
pub(crate) fn expression(document: &str) -> Result<String> {
    let (_, section) = document.split_once("\n## How many workers\n").context("it does not say how many workers")?;
    let block = section.split_once("```promql\n").and_then(|(_, rest)| rest.split_once("```"));
    Ok(one_line(block.context("it says how many workers without an expression")?.0))
}

/// Line breaks and indents mean nothing in an expression.
pub(crate) fn one_line(expression: &str) -> String {
    expression.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each case gives its number of workers.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let expression = expression(&files::read(&workspace.root.join(DOCUMENT))?).context(DOCUMENT)?;
    let dir = workspace.target.join("autoscale");
    std::fs::create_dir_all(&dir)?;
    let file = dir.join("tests.yml");
    std::fs::write(&file, tests(&expression)?)?;
    child::run(child::command("promtool").args(["test", "rules"]).arg(&file))
}

/// Whole workers, as an autoscaler rounds: so nothing hangs on the last digit of a quotient.
fn tests(expression: &str) -> Result<String> {
    let mut text = String::from("evaluation_interval: 1m\ntests:\n");
    for case in cases::CASES {
        writeln!(text, "  - name: '{}'\n    interval: 1m\n    input_series:", case.name)?;
        for (series, values) in case.series() {
            writeln!(text, "      - {{series: '{series}}}', values: '{values}'}}")?;
        }
        let samples = match case.workers {
            Some(workers) => format!("{{labels: '{{}}', value: {workers}}}"),
            None => String::new(),
        };
        let asked = format!("expr: 'ceil({expression})', eval_time: {}", case.at);
        writeln!(text, "    promql_expr_test:\n      - {{{asked}, exp_samples: [{samples}]}}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_is_read_from_its_section_alone() {
        let text = "```promql\na\n```\n## How many workers\nThese:\n\n```promql\nb\n  * c\n```\n```promql\nd\n```\n";
        assert_eq!(expression(text).unwrap(), "b * c");
        assert!(expression("```promql\na\n```").is_err());
        let document = files::read(&files::root().join(DOCUMENT)).unwrap();
        assert!(!expression(&document).unwrap().contains('\''), "it must go into YAML as it is");
    }
}
