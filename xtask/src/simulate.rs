//! `cargo xtask simulate`: recorded requests through the policies that serve.
//!
//! ```text
//! cargo xtask simulate --traces DIR --json                every policy, as JSON lines
//! cargo xtask simulate access.log --strategy lru,s3-fifo  two of them on one's own log
//! ```

use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, run as run_command};

/// The package that replays traces.
const LAB: &str = "cache-enterprise-lab";

/// Builds the lab and hands it `arguments`. It runs where it was called, so that paths mean what
/// they say, and stdout belongs to it alone.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let here = std::env::current_dir().map_err(Failure::of("looking where this was called"))?;
    let manifest = workspace.root().join("Cargo.toml");
    let mut command = workspace.cargo(&["run", "--quiet", "--release", "-p", LAB]);
    command.arg("--manifest-path").arg(manifest).arg("--").args(arguments).current_dir(here);
    run_command(&mut command)
}
