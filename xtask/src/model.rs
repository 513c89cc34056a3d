//! `cargo xtask model`: the engine under a scheduler that decides which thread goes on.
//!
//! The checker replaces every lock and atomic, so it is a build of its own.

use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, capture, run as run_command};

const TARGET: [&str; 5] = ["test", "-p", "cache-enterprise-engine", "--test", "model"];

/// Builds the model and plays its stories, those alone whose name contains `filter` if one is
/// given. The environment settles seed and number of schedules; see `tests/model/main.rs`.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Outcome {
    let command = |extra: &[&str]| {
        let mut command = workspace.cargo_under("shuttle", &TARGET);
        command.arg("--").args(filter).args(extra);
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
