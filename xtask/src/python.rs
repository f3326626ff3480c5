//! Python environments under the target directory, made anew only when what they hold changes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::child;

/// The interpreter of an environment at `dir` that holds exactly the packages of `requirements`.
pub(crate) fn environment(dir: &Path, requirements: &Path) -> Result<PathBuf> {
    let python = dir.join("bin/python");
    let wanted = fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    // An environment only works with the interpreter that made it.
    let wanted =
        child::output(child::command("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]))?
            + &wanted;
    fresh(&dir.join("made-of"), &wanted, || {
        child::run(child::command("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
        let mut pip = child::command(&python);
        child::run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements))
    })?;
    Ok(python)
}

/// Runs `make` unless `stamp` says that it was done for the same `wanted`.
pub(crate) fn fresh(stamp: &Path, wanted: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if fs::read_to_string(stamp).is_ok_and(|made_of| made_of == wanted) {
        return Ok(());
    }
    make()?;
    fs::write(stamp, wanted).with_context(|| stamp.display().to_string())
}
