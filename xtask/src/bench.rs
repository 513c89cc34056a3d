//! `cargo xtask bench`: the benches and their peers, built for speed and run.

use std::process::Stdio;

use crate::failure::Outcome;
use crate::workspace::{BENCH, Workspace, run as run_command};

/// Runs the benches with `arguments`. Nothing is written to stdout here, so that with `--json`
/// every line there is the benches'.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let mut command = workspace.cargo(&["run", "--quiet", "--profile", "bench", "-p", BENCH, "--"]);
    command.args(forwarded(arguments)).stdin(Stdio::inherit());
    run_command(&mut command)
}

/// All arguments but the first `--`, which only ends ours.
fn forwarded(arguments: &[String]) -> impl Iterator<Item = &String> {
    let end = arguments.iter().position(|argument| argument == "--");
    let kept = arguments.iter().enumerate().filter(move |(index, _)| Some(*index) != end);
    kept.map(|(_, argument)| argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_separator_is_ours() {
        let arguments = ["l1", "--json", "--", "--rounds", "9", "--"].map(str::to_owned);
        let kept: Vec<_> = forwarded(&arguments).collect();
        assert_eq!(kept, ["l1", "--json", "--rounds", "9", "--"]);
    }
}
