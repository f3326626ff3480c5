//! RingCentral's own client libraries against `ringfleet simulator`, and what is told of the API against it; see
//! tests/contract/README.md.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    api,
    cargo::Workspace,
    child::{self, Running},
    compose, python,
    tally::{Runner, Tally},
};

const START_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn test(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let contract = workspace.root.join("tests/contract");
    let built = workspace.target.join("contract");
    let js = node_package(&contract.join("js"), &built.join("js"))?;
    let python = python::environment(&built.join("venv"), &contract.join("python/requirements.txt"))?;

    let program = workspace.binary()?;
    let (_simulator, announced) = start_simulator(&program, &["--extensions", "10", "--refresh-tokens"])?;
    let simulator: Value = serde_json::from_str(&announced).context("the simulator's first line is not JSON")?;
    compose::knows_simulator(&workspace.root, &simulator)?;

    let mut npm = child::command("npm");
    npm.args(["test", "--prefix"]).arg(&js).env("SIMULATOR", &announced).env("RINGFLEET", &program);
    child::counted(child::without_proxy(&mut npm), Runner::Node, tally)?;

    let mut unittest = child::command(&python);
    unittest.args(["-m", "unittest", "discover", "-s"]).arg(contract.join("python"));
    // Its compiled files would land in the source tree.
    unittest.env("PYTHONDONTWRITEBYTECODE", "1").env("SIMULATOR", &announced).env("RINGFLEET", &program);
    child::counted(child::without_proxy(&mut unittest), Runner::Unittest, tally)?;
    api::test(workspace, tally)
}

/// Node looks for packages beside the file that imports them, so the tests are copied to where `node_modules` may lie.
pub(crate) fn node_package(source: &Path, built: &Path) -> Result<std::path::PathBuf> {
    fs::create_dir_all(built)?;
    for entry in fs::read_dir(source).with_context(|| source.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), built.join(entry.file_name()))?;
        }
    }
    let lock = fs::read_to_string(source.join("package-lock.json"))?;
    python::fresh(&built.join("node_modules/.made-of"), &lock, || {
        let quiet = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
        child::run(child::command("npm").args(quiet).arg(built))
    })?;
    Ok(built.to_owned())
}

/// Returns the guard and the line in which the simulator tells where everything is.
pub(crate) fn start_simulator(binary: &Path, options: &[&str]) -> Result<(Running, String)> {
    let mut command = child::command(binary);
    command.args(["simulator", "--listen", "127.0.0.1:0"]).args(options);
    let mut simulator = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = simulator.child().stdout.take().context("its standard output is a pipe")?;
    let (tell, told) = mpsc::channel();
    // A read from a pipe has no deadline; a thread that outlives the wait ends with the simulator.
    thread::spawn(move || {
        let mut line = String::new();
        let _ = tell.send(BufReader::new(stdout).read_line(&mut line).map(|_| line));
    });
    let line = told.recv_timeout(START_DEADLINE).context("the simulator says nothing")??;
    ensure!(!line.is_empty(), "the simulator ended at once");
    Ok((simulator, line.trim().to_owned()))
}
