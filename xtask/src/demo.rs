//! The demo as a smoke test: its exit code says whether every promise held.

use std::fs;

use anyhow::Result;

use crate::{cargo::Workspace, child, redis::Redis};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let binary = workspace.binary()?;
    let dir = workspace.target.join("demo");
    fs::create_dir_all(&dir)?;
    let demo = |json: &str, more: &[&str]| {
        let mut command = child::command(&binary);
        // In an own directory, so that a ringfleet.toml of whoever runs this does not take part.
        // Its own messages, extensions and window: a lane has more than its plan allows at once, so that its quota is measured.
        command.current_dir(&dir).args(["demo", "--json", json]).args(more);
        child::run(&mut command)
    };
    demo("sqlite.json", &[])?;
    let redis = Redis::start(&dir.join("redis"))?;
    demo("redis.json", &["--store", &redis.url(), "--processes", "--workers", "4"])
}
