//! Dependencies that nobody uses: they cost a build and say something untrue about a crate.

use super::Violation;
use crate::manifest::{self, Dependency, Kind, Manifest};
use crate::workspace::Tree;

pub(super) fn check(manifests: &[Manifest], tree: &Tree) -> Vec<Violation> {
    let mut violations: Vec<Violation> = manifests
        .iter()
        .flat_map(|manifest| {
            let idle = manifest.dependencies.iter().filter(|d| !is_used(manifest, d, tree));
            idle.map(|dependency| unused(&manifest.path, dependency))
        })
        .collect();
    violations.extend(shared_by_nobody(manifests, tree));
    violations
}

/// Whether a source file of the crate says the name. Tests may need a dependency for the snippets
/// of a page outside, so theirs are not looked at.
fn is_used(manifest: &Manifest, dependency: &Dependency, tree: &Tree) -> bool {
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let name = dependency.package.replace('-', "_");
    let mut sources = tree.texts(&[".rs"]).filter(|(path, _)| path.starts_with(folder));
    dependency.kind == Kind::Dev || sources.any(|(_, text)| says(text, &name))
}

fn says(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

fn unused(path: &str, dependency: &Dependency) -> Violation {
    let what = format!("{} is used in no source file", dependency.package);
    Violation::new("unused", path, dependency.line, what, "remove it")
}

fn shared_by_nobody(manifests: &[Manifest], tree: &Tree) -> Vec<Violation> {
    let shared = tree.text("Cargo.toml").map(manifest::shared).unwrap_or_default();
    let asked_for = |package: &str| {
        manifests.iter().flat_map(|m| &m.dependencies).any(|d| d.inherited && d.package == package)
    };
    let idle = shared.into_iter().filter(|(package, _)| !asked_for(package));
    idle.map(|(package, line)| {
        let what = format!("no crate asks for {package}");
        Violation::new("unused", "Cargo.toml", line, what, "remove it")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn breaches(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        check(&tree.manifests().unwrap(), &tree).iter().map(ToString::to_string).collect()
    }

    const MANIFEST: &str = "[package]\nname = \"a\"\n[dependencies]\nlong-name.workspace = true\n\
                            [dev-dependencies]\nserde.workspace = true\n";

    #[test]
    fn a_name_in_a_source_file_is_a_use() {
        let used = ("crates/a/src/lib.rs", "use long_name::Thing;");
        assert_eq!(breaches(&[("crates/a/Cargo.toml", MANIFEST), used]), [""; 0]);
    }

    #[test]
    fn another_name_and_another_crate_are_no_use() {
        let longer = ("crates/a/src/lib.rs", "use very_long_name::Thing; use long_names;");
        let other = ("crates/ab/src/lib.rs", "use long_name::Thing;");
        assert_eq!(
            breaches(&[("crates/a/Cargo.toml", MANIFEST), longer, other]),
            ["crates/a/Cargo.toml:4: long-name is used in no source file: remove it"]
        );
    }

    #[test]
    fn a_shared_version_needs_somebody_who_asks() {
        let root = "[workspace.dependencies]\nlong-name = \"1\"\nserde = \"1\"\nidle = \"1\"\n";
        let used = ("crates/a/src/lib.rs", "use long_name::Thing;");
        assert_eq!(
            breaches(&[("Cargo.toml", root), ("crates/a/Cargo.toml", MANIFEST), used]),
            ["Cargo.toml:4: no crate asks for idle: remove it"]
        );
    }
}
