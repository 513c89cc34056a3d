//! `cargo xtask chaos`: the engine in a simulated world, a schedule a seed.
//!
//! ```text
//! cargo xtask chaos --seeds 0..20000 --json     many schedules, on two threads
//! cargo xtask chaos --seeds 7..8 --trace        the story of one
//! cargo xtask chaos --mutants --json            each rule broken, and who finds it
//! ```

use crate::failure::Outcome;
use crate::mutants;
use crate::workspace::{Workspace, run as run_command};

/// The package that plays seeds.
pub(crate) const CHAOS: &str = "cache-enterprise-chaos";

/// Plays the seeds that `arguments` name, or breaks the rules one by one. Nothing is written to
/// stdout here, so that with `--json` every line there is a result.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if let Some(place) = arguments.iter().position(|argument| argument == "--mutants") {
        let mut rest = arguments.to_vec();
        rest.remove(place);
        return mutants::run(workspace, &rest);
    }
    let mut command = workspace.cargo(&["run", "--quiet", "--profile", "chaos", "-p", CHAOS, "--"]);
    command.args(arguments);
    run_command(&mut command)
}
