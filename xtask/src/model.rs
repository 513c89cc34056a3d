//! `cargo xtask model`: the engine under a scheduler that decides which thread goes on.
//!
//! The checker replaces every lock and atomic, so it is a build of its own, in a target directory
//! of its own: other flags for the compiler would else build every dependency of the usual
//! directory again, twice for each run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, capture, run as run_command};

const TARGET: [&str; 5] = ["test", "-p", "cache-enterprise-engine", "--test", "model"];

/// Builds the model and plays its stories, those alone whose name contains `filter` if one is
/// given. The environment settles seed and number of schedules; see `tests/model/main.rs`.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Outcome {
    let command = |extra: &[&str]| {
        let mut command = workspace.cargo(&TARGET);
        command.arg("--").args(filter).args(extra);
        under_the_checker(&mut command);
        command
    };
    // Without its flag the target compiles to nothing, and nothing always passes.
    let stories = stories(&capture(&mut command(&["--list"]))?);
    if stories == 0 {
        return Err(Failure::new("the model has no such story"));
    }
    println!("model: {stories} stories");
    run_command(&mut command(&[]))
}

fn under_the_checker(command: &mut Command) {
    let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.push(" --cfg shuttle");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
    command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", PathBuf::from(target).join("model"));
}

/// Tests in what `--list` prints.
fn stories(listing: &str) -> usize {
    listing.lines().filter(|line| line.ends_with(": test")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_target_has_no_stories() {
        assert_eq!(stories("\n0 tests, 0 benchmarks\n"), 0);
        assert_eq!(stories("one::story: test\nanother: test\n\n2 tests, 0 benchmarks\n"), 2);
    }
}
