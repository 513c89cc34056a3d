//! `cargo xtask bench`: the benches and their peers, built for speed and run.

use std::process::Stdio;

use crate::failure::Outcome;
use crate::servers::Servers;
use crate::workspace::{BENCH, Workspace, run as run_command};

/// The groups that measure what lies behind a network, on servers that they start themselves.
const ON_SERVERS: [&str; 2] = ["l2", "coherence"];

/// The group that asks who passes: a binary of its own, with libraries that only it needs.
const RIVALS: &str = "rivals";

/// Runs the benches with `arguments`, after the servers have been found or installed when a group
/// needs them. Nothing is written to stdout here, so that with `--json`
/// every line there is the benches'.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if arguments.first().is_some_and(|first| first == RIVALS) {
        return rivals(workspace, &arguments[1..]);
    }
    if needs_servers(arguments) {
        Servers::find_or_install()?;
    }
    let mut command = workspace.cargo(&["run", "--quiet", "--profile", "bench", "-p", BENCH, "--"]);
    command.args(forwarded(arguments)).stdin(Stdio::inherit());
    run_command(&mut command)
}

/// Nothing is timed there, so it is built as tests are.
fn rivals(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let run = ["run", "--quiet", "-p", BENCH, "--features", RIVALS, "--bin", RIVALS, "--"];
    run_command(workspace.cargo(&run).args(forwarded(arguments)))
}

/// Whether a group on servers is named, or none is, which asks for all.
fn needs_servers(arguments: &[String]) -> bool {
    let names_a_group = arguments.first().is_some_and(|first| !first.starts_with('-'));
    !names_a_group || arguments.iter().any(|argument| ON_SERVERS.contains(&&**argument))
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
    fn servers_are_needed_for_their_groups_and_for_all() {
        let needs = |arguments: &[&str]| {
            needs_servers(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(
            needs(&["l2", "--json"])
                && needs(&["l1", "l2"])
                && needs(&["coherence"])
                && needs(&["--json"])
        );
        assert!(!needs(&["l1"]) && !needs(&["disk", "--rounds", "9"]));
    }

    #[test]
    fn only_the_first_separator_is_ours() {
        let arguments = ["l1", "--json", "--", "--rounds", "9", "--"].map(str::to_owned);
        let kept: Vec<_> = forwarded(&arguments).collect();
        assert_eq!(kept, ["l1", "--json", "--rounds", "9", "--"]);
    }
}
