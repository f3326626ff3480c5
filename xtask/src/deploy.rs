//! The deployment files, checked as far as that goes without a container engine.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::{
    alerts, autoscale, board, cargo::Workspace, child, compose, dockerfile, files, kubernetes, metrics, python,
};

const DOCKERFILE: &str = "deploy/Dockerfile";
const SCRAPE: &str = "deploy/prometheus/kubernetes.yml";
const UNIT: &str = "deploy/systemd/ringfleet-worker.service";

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let root = &workspace.root;
    let faults = faults(root)?;
    ensure!(faults.is_empty(), "the deployment files are at fault:\n  {}", faults.join("\n  "));

    let linters = workspace.target.join("lint");
    let python = python::environment(&linters, &root.join("xtask/lint-requirements.txt"))?;
    let linter = |name: &str| {
        let mut command = child::command(python.with_file_name(name));
        command.current_dir(root);
        command
    };
    let rules = "{extends: default, rules: {document-start: disable, line-length: {max: 140}}}";
    child::run(linter("yamllint").args(["--strict", "-d", rules, compose::COMPOSE, kubernetes::DIR, SCRAPE]))?;
    // The schema is part of the package, so nothing is fetched.
    child::run(linter("check-jsonschema").args(["--builtin-schema", "vendor.compose-spec", compose::COMPOSE]))?;
    child::run(linter("hadolint").args(["--failure-threshold", "info", DOCKERFILE]))?;
    println!("{DOCKERFILE}, {}: linted", compose::COMPOSE);

    if child::works(child::command("docker").args(["compose", "version"])) {
        let mut config = child::command("docker");
        config.current_dir(root).args(["compose", "--profile", "*", "config", "--quiet"]);
        child::run(&mut config)?;
        println!("{}: read by docker compose", compose::COMPOSE);
    } else {
        println!("SKIPPED: docker compose config (docker compose is not installed; the schema was checked)");
    }
    alerts::check(workspace)?;
    println!("{}: taken by Prometheus, and each alert fires", alerts::RULES);
    scrape_jobs(root, &linters)?;
    autoscale::check(workspace)?;
    println!("{}: so many workers as each case wants", metrics::DOCUMENT);
    board::check(root, &workspace.target.join("board"))?;
    println!("{}: fits the tables of the metrics", board::BOARD);
    let binary = workspace.binary()?;
    kubernetes::check(root, &python, &workspace.target.join("kubernetes"), &binary)?;
    board::check_live(workspace, &binary)?;
    println!("{}: shown by Prometheus, over a fleet that sends", board::BOARD);
    verify_unit(root, &linters)
}

/// What the linters can't know; all of it is told at once.
fn faults(root: &Path) -> Result<Vec<String>> {
    let mut faults: Vec<String> = dockerfile::faults(&files::read(&root.join(DOCKERFILE))?, root)
        .into_iter()
        .map(|fault| format!("{DOCKERFILE}: {fault}"))
        .collect();
    let defaults = files::read(&root.join("crates/ringfleet/config.default.toml"))?;
    let mut naming = [compose::COMPOSE, DOCKERFILE, UNIT, "deploy/README.md"].map(|name| root.join(name)).to_vec();
    naming.extend(files::below(&root.join(kubernetes::DIR), "yaml")?);
    for path in naming {
        let unknown = compose::unknown_settings(&files::read(&path)?, &defaults);
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        faults.extend(unknown.into_iter().map(|setting| format!("{name}: there is no setting {setting}")));
    }
    let exposed = exposed(&files::read(&root.join(UNIT))?);
    faults.extend(exposed.into_iter().map(|fault| format!("{UNIT}: {fault}")));
    Ok(faults)
}

/// What others on the machine could read: the configuration too may hold a password, the store's.
fn exposed(unit: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut settings = unit.lines().filter(|line| !line.starts_with('#'));
    let start = settings.find(|line| line.starts_with("ExecStart=")).unwrap_or_default();
    if !start.contains(" --config %d/") {
        faults.push("--config must name a file of %d, which systemd shows to the service alone".to_owned());
    }
    for name in unit.split("%d/").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
        if !unit.lines().any(|line| line.starts_with(&format!("LoadCredential={name}:"))) {
            faults.push(format!("%d/{name} is never there without LoadCredential={name}:…"));
        }
    }
    faults
}

/// Debian's Prometheus is built without Kubernetes, so promtool reads the jobs without how they find their pods.
fn scrape_jobs(root: &Path, dir: &Path) -> Result<()> {
    let text = files::read(&root.join(SCRAPE))?;
    ensure!(text.contains("job_name: ringfleet-api\n"), "{SCRAPE}: the alerts look for the job ringfleet-api");
    let found = |line: &&str| !line.contains("kubernetes_sd_configs:") && !line.contains("{role: pod, ");
    let copy = dir.join("scrape.yml");
    std::fs::write(&copy, text.lines().filter(found).collect::<Vec<_>>().join("\n"))?;
    child::run(child::command("promtool").args(["check", "config"]).arg(&copy))
}

/// systemd refuses a unit whose program is not there, so it gets one in which the program is `true`.
fn verify_unit(root: &Path, dir: &Path) -> Result<()> {
    if !child::works(child::command("systemd-analyze").arg("--version")) {
        println!("SKIPPED: systemd-analyze verify {UNIT} (systemd is not installed)");
        return Ok(());
    }
    let text = files::read(&root.join(UNIT))?.replace("/usr/local/bin/ringfleet", "/bin/true");
    let copy: PathBuf = dir.join("ringfleet-worker.service");
    std::fs::write(&copy, text)?;
    child::run(child::command("systemd-analyze").args(["verify", "--man=no"]).arg(&copy))?;
    println!("{UNIT}: read by systemd");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_others_can_read_or_that_is_never_there_is_found() {
        let unit = |path: &str| format!("LoadCredential=a.toml:/etc/a.toml\nExecStart=/bin/a --config {path} worker\n");
        assert_eq!(exposed(&unit("%d/a.toml")), Vec::<String>::new());
        assert_eq!(exposed(&unit("/etc/a.toml")).len(), 1);
        assert_eq!(exposed(&unit("%d/b.toml")).len(), 1);
    }

    #[test]
    fn the_deployment_files_name_only_what_exists() {
        assert_eq!(faults(&files::root()).unwrap(), Vec::<String>::new());
    }
}
