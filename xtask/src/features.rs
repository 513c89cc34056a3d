//! `cargo xtask features`: each crate compiles alone, with each feature alone, none and all.
//!
//! The features are read from the manifests, so a new one is checked without being listed here.
//! Building a crate alone also finds what a build of the whole workspace hides: a feature of a
//! dependency that only another crate asks for.

use std::process::Stdio;

use crate::failure::{Failure, Outcome};
use crate::manifest::Manifest;
use crate::workspace::{BENCH, Workspace, show};

/// Checks every combination, one `cargo check` each; warnings count as failures.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let combinations = combinations(&workspace.manifests()?);
    for (index, combination) in combinations.iter().enumerate() {
        println!("{}/{} {}", index + 1, combinations.len(), combination.join(" "));
        check(workspace, combination)?;
    }
    Ok(())
}

/// The arguments of `cargo check` for every combination.
fn combinations(manifests: &[Manifest]) -> Vec<Vec<String>> {
    // A workspace of its own is not ours to select from; the benches are checked by `ci`.
    let members = manifests.iter().filter(|m| !m.own_workspace && m.package != BENCH);
    members.flat_map(combinations_of).collect()
}

fn combinations_of(manifest: &Manifest) -> Vec<Vec<String>> {
    let arguments = |selection: &[&str]| {
        let package = ["-p", manifest.package.as_str()];
        package.iter().chain(selection).map(ToString::to_string).collect::<Vec<_>>()
    };
    if manifest.features.is_empty() {
        return vec![arguments(&[])];
    }
    let mut combinations = vec![arguments(&["--no-default-features"])];
    for feature in &manifest.features {
        combinations.push(arguments(&["--no-default-features", "--features", &feature.name]));
    }
    combinations.push(arguments(&["--all-features"]));
    combinations
}

fn check(workspace: &Workspace, combination: &[String]) -> Outcome {
    let mut command = workspace.plain_cargo(&["check"]);
    command.args(combination).stderr(Stdio::piped());
    let shown = show(&command);
    let output = command.output().map_err(Failure::of(format!("starting `{shown}`")))?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    let failure = match output.status.success() {
        false => "failed",
        true if has_warnings(&diagnostics) => "gave warnings",
        true => return Ok(()),
    };
    eprint!("{diagnostics}");
    Err(Failure::new(format!("`{shown}` {failure}")))
}

/// Whether a crate of ours has warnings. A lint level would say it too, but other flags for the
/// compiler would build every dependency again; cargo repeats the warnings of a crate that needs
/// no build.
fn has_warnings(diagnostics: &str) -> bool {
    let is_total = |line: &str| line.starts_with("warning: `") && line.contains("generated");
    diagnostics.lines().any(is_total)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    fn combined(package: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{package}\"\n{rest}");
        let manifest = Manifest::parse("x/Cargo.toml", &text, &BTreeMap::new()).unwrap();
        combinations(&[manifest]).iter().map(|arguments| arguments.join(" ")).collect()
    }

    #[test]
    fn each_feature_alone_none_and_all() {
        assert_eq!(
            combined("a", "[features]\ndefault = [\"one\"]\none = []\ntwo = []\n"),
            [
                "-p a --no-default-features",
                "-p a --no-default-features --features default",
                "-p a --no-default-features --features one",
                "-p a --no-default-features --features two",
                "-p a --all-features",
            ]
        );
        assert_eq!(combined("b", ""), ["-p b"]);
    }

    #[test]
    fn benches_and_foreign_workspaces_are_left_out() {
        assert_eq!(combined(BENCH, ""), [""; 0]);
        assert_eq!(combined("fuzz", "[workspace]\n"), [""; 0]);
    }

    #[test]
    fn only_our_warnings_count() {
        assert!(has_warnings("warning: `a` (lib) generated 1 warning\n    Finished `dev`\n"));
        assert!(!has_warnings("warning: unused manifest key\n    Finished `dev` profile\n"));
    }
}
