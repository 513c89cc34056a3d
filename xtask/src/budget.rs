//! `cargo xtask budget`: what the default features of the umbrella ask of a user's build.

use std::collections::BTreeSet;

use crate::failure::{Failure, Outcome};
use crate::metadata::{self, Package};
use crate::workspace::{UMBRELLA, Workspace, capture};

/// The most packages beyond the umbrella itself, ours and others'.
const PACKAGES_MAX: usize = 25;

/// What a user asks for by a feature and never gets unasked.
const ASKED_FOR: &[&str] =
    &["tokio", "figment", "serde_json", "fjall", "redis", "deadpool-redis", "memcache"];

/// What build scripts use to compile or find C code.
const C_BUILDERS: &[&str] = &["bindgen", "cc", "cmake", "pkg-config", "vcpkg"];

/// Lists the packages of the default features and checks them.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let arguments =
        ["tree", "--locked", "-p", UMBRELLA, "-e", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = capture(&mut workspace.plain_cargo(&arguments))?;
    let asked = names_and_versions(&tree);
    let packages: Vec<Package> = metadata::packages(workspace)?
        .into_iter()
        .filter(|package| asked.contains(&(package.name.clone(), package.version.clone())))
        .filter(|package| package.name != UMBRELLA)
        .collect();
    // The umbrella is the one that was asked for and does not count.
    if packages.len() + 1 != asked.len() {
        return Err(Failure::new("`cargo tree` and `cargo metadata` disagree about the packages"));
    }

    let breaches = breaches(&packages);
    for breach in &breaches {
        println!("{breach}");
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    println!("budget: {} of {PACKAGES_MAX} packages: {}", names.len(), names.join(", "));
    match breaches.is_empty() {
        true => Ok(()),
        false => Err(Failure::new("the default features of the umbrella ask for too much")),
    }
}

/// The distinct packages of `cargo tree` without a prefix: `name v1.2.3 (where) (*)`.
fn names_and_versions(tree: &str) -> BTreeSet<(String, String)> {
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((name.to_owned(), version.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

fn breaches(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    if packages.len() > PACKAGES_MAX {
        breaches.push(format!("{} packages, the most is {PACKAGES_MAX}", packages.len()));
    }
    for package in packages {
        let name = &package.name;
        if ASKED_FOR.contains(&name.as_str()) {
            breaches.push(format!("{name} comes unasked"));
        }
        if let Some(library) = &package.links {
            breaches.push(format!("{name} links the native library {library}"));
        }
        let builders = package.build_dependencies.iter();
        for builder in builders.filter(|builder| C_BUILDERS.contains(&builder.as_str())) {
            breaches.push(format!("{name} builds C code with {builder}"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, links: Option<&str>, build: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: None,
            links: links.map(str::to_owned),
            build_dependencies: build.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn packages_of_the_tree_are_counted_once() {
        let tree = "umbrella v0.1.0 (/some/where)\nbytes v1.2.3\na v1.0.0 (proc-macro)\n\
                    bytes v1.2.3 (*)\n\nbytes v0.4.0\n";
        let found: Vec<_> = names_and_versions(tree).into_iter().collect();
        let expected =
            [("a", "1.0.0"), ("bytes", "0.4.0"), ("bytes", "1.2.3"), ("umbrella", "0.1.0")];
        assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    #[test]
    fn the_limit_is_inclusive() {
        let many: Vec<_> = (0..26).map(|n| package(&format!("p{n}"), None, &[])).collect();
        assert!(breaches(&many[..25]).is_empty());
        assert_eq!(breaches(&many), ["26 packages, the most is 25"]);
    }

    #[test]
    fn runtimes_and_c_code_are_found() {
        let found = breaches(&[
            package("tokio", None, &[]),
            package("z-sys", Some("z"), &["cc", "autocfg"]),
        ]);
        assert_eq!(
            found,
            [
                "tokio comes unasked",
                "z-sys links the native library z",
                "z-sys builds C code with cc",
            ]
        );
    }
}
