//! `bench`: provides the tools, builds the release binary and the peers, and hands over to `ringfleet-bench`, which measures
//! them side by side.
//!
//! Peers come from their public packages and lie under the target directory. One that can't be installed is told and left out.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    cargo::{self, Workspace},
    child, contract, python, tools,
};

const EXAMPLES: &str = "\
The whole takes about an hour, --quick less than five minutes, both after the builds. Figures go to
target/bench/figures.json as they come, or where --json says. The report goes to docs/benchmarks.md; with --quick or --only, or of
a sitting that was interrupted or has measured nothing, it goes beside the figures instead, as benchmarks.md with its plots in
benchmarks/.

  cargo xtask bench --quick
  cargo xtask bench --only queue,peers --repeats 3

Benches: queue, peers, limiter, sends, latency, growth (which needs queue and sends of the same sitting).";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchOptions {
    /// Smaller sizes, one round: under five minutes
    #[arg(long)]
    quick: bool,
    /// Only these benches, e.g. limiter or queue,peers
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Rounds; medians are told [default: 3, with --quick 1]
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Write every figure, with its unit, peer and settings, to this file, not in docs/; the report of a part goes beside it
    /// [default: target/bench/figures.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Becomes the bench, so that Ctrl-C and the exit code are its own. Returns only what went wrong before.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    let workspace = Workspace::find()?;
    tools::provide_vital()?;
    println!("building the release binaries");
    child::run(cargo::cargo("build").args(["--release", "--workspace", "--locked", "--quiet"]))?;
    let built = workspace.target.join("bench");
    fs::create_dir_all(&built)?;
    let mut peers = BTreeMap::new();
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| only.split(',').any(|word| word.trim() == name));
    let installs: [(&str, bool, Install); 4] = [
        ("bullmq", wanted("peers") || wanted("limiter"), bullmq),
        ("apalis", wanted("peers"), apalis),
        ("sidekiq", wanted("peers"), sidekiq),
        ("dramatiq", wanted("peers"), dramatiq),
    ];
    for (name, _, install) in installs.into_iter().filter(|(_, wanted, _)| *wanted) {
        println!("installing the peer {name}");
        match install(&workspace, &built.join(name)) {
            Ok(words) => drop(peers.insert(name, words)),
            Err(error) => println!("{name} is left out: {error:#}"),
        }
    }
    let list = built.join("peers.json");
    fs::write(&list, serde_json::to_vec(&peers)?)?;

    let release = workspace.target.join("release");
    let mut bench = child::command(release.join("ringfleet-bench"));
    bench.arg("--ringfleet").arg(release.join("ringfleet")).arg("--peers").arg(list).arg("--root").arg(&workspace.root);
    bench.arg("--json").arg(options.json.clone().unwrap_or_else(|| built.join("figures.json")));
    if options.quick {
        bench.arg("--quick");
    }
    bench.args(options.only.iter().flat_map(|only| ["--only", only]));
    bench.args(options.repeats.iter().flat_map(|repeats| ["--repeats".to_owned(), repeats.to_string()]));
    Err(bench.exec()).context("ringfleet-bench can't be run")
}

/// Installs a peer below a folder, and tells the words that start it.
type Install = fn(&Workspace, &Path) -> Result<Vec<String>>;

fn apalis(workspace: &Workspace, built: &Path) -> Result<Vec<String>> {
    rust_peer(workspace, built, "apalis", "peer-apalis")
}

fn sidekiq(workspace: &Workspace, built: &Path) -> Result<Vec<String>> {
    rust_peer(workspace, built, "sidekiq", "peer-sidekiq")
}

/// Built where it lies, because it takes in a file of its neighbour's; only what comes of it goes elsewhere.
fn rust_peer(workspace: &Workspace, built: &Path, folder: &str, binary: &str) -> Result<Vec<String>> {
    let manifest = workspace.root.join("bench/peers").join(folder).join("Cargo.toml");
    let mut build = cargo::cargo("build");
    build.args(["--release", "--locked", "--quiet", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(built);
    child::run(&mut build)?;
    Ok(vec![word(built.join("release").join(binary))])
}

fn bullmq(workspace: &Workspace, built: &Path) -> Result<Vec<String>> {
    let package = contract::node_package(&workspace.root.join("bench/peers/bullmq"), built)?;
    Ok(vec!["node".to_owned(), word(package.join("main.js"))])
}

fn dramatiq(workspace: &Workspace, built: &Path) -> Result<Vec<String>> {
    let source = workspace.root.join("bench/peers/dramatiq");
    // Every line of the list has its hashes, so pip takes nothing else.
    let python = python::environment(built, &source.join("requirements.txt"))?;
    Ok(vec![word(python), word(source.join("main.py"))])
}

fn word(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
