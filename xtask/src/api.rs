//! The API against its OpenAPI document, and the clients of examples/ against the API; see tests/contract/README.md.

use anyhow::Result;

use crate::{
    cargo::Workspace,
    child, python,
    tally::{Runner, Tally},
};

/// The tests start their own simulators and fleets, and end them.
pub(crate) fn test(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let tests = workspace.root.join("tests/contract/api");
    let python = python::environment(&workspace.target.join("contract/api"), &tests.join("requirements.txt"))?;
    let mut unittest = child::command(&python);
    unittest.args(["-m", "unittest", "discover", "-s"]).arg(&tests).env("RINGFLEET", workspace.binary()?);
    // Its compiled files would land in the source tree.
    unittest.env("PYTHONDONTWRITEBYTECODE", "1");
    child::counted(child::without_proxy(&mut unittest), Runner::Unittest, tally)
}
