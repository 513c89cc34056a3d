//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a plain function from the files of the repository to the places that break it, so
//! each is tested on a planted breach. A breach is printed as `path:line: what: how to mend it`.

mod clients;
mod exceptions;
mod layers;
mod links;
mod manifests;
mod mutants;
mod prose;
mod rust_text;
mod sizes;
mod unused;
mod words;

use std::fmt;

use crate::failure::{Failure, Outcome};
use crate::workspace::{Tree, Workspace};

/// One place that breaks a rule.
#[derive(Debug)]
struct Violation {
    rule: &'static str,
    path: String,
    line: usize,
    /// The function or word in question, where the path alone does not name the place.
    subject: Option<String>,
    what: String,
    fix: String,
}

impl Violation {
    fn new(
        rule: &'static str,
        path: &str,
        line: usize,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (path, what, fix) = (path.to_owned(), what.into(), fix.into());
        Violation { rule, path, line, subject: None, what, fix }
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { path, line, what, fix, .. } = self;
        write!(f, "{path}:{line}: {what}: {fix}")
    }
}

/// Checks the whole repository and prints every breach.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let violations = check(&Tree::read(workspace)?)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        1 => Err(Failure::new("one place breaks a rule")),
        count => Err(Failure::new(format!("{count} places break a rule"))),
    }
}

fn check(tree: &Tree) -> Outcome<Vec<Violation>> {
    let manifests = tree.manifests()?;
    let mut violations = Vec::new();
    violations.extend(layers::check(&manifests));
    violations.extend(clients::check(&manifests));
    violations.extend(manifests::check(&manifests, tree));
    violations.extend(unused::check(&manifests, tree));
    violations.extend(mutants::check(tree)?);
    violations.extend(sizes::check(tree));
    violations.extend(prose::check(tree));
    violations.extend(words::check(tree));
    violations.extend(links::check(tree));
    let mut violations = exceptions::apply(violations, tree)?;
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(violations)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MEMORY: &str = "\
[package]
name = \"cache-enterprise-memory\"
description = \"level 1\"
version.workspace = true
edition.workspace = true
license.workspace = true

[lints]
workspace = true

[dependencies]
cache-enterprise-core.workspace = true
";

    #[test]
    fn a_clean_tree_has_no_breach() {
        let tree = Tree::of(&[
            ("crates/cache-enterprise-memory/Cargo.toml", MEMORY),
            ("crates/cache-enterprise-memory/src/lib.rs", "use cache_enterprise_core::Entry;\n"),
        ]);
        assert!(check(&tree).unwrap().is_empty());
    }

    #[test]
    fn a_planted_layer_breach_is_found_and_says_where() {
        let planted = format!("{MEMORY}cache-enterprise-engine.workspace = true\n");
        let tree = Tree::of(&[
            ("crates/cache-enterprise-memory/Cargo.toml", &planted),
            (
                "crates/cache-enterprise-memory/src/lib.rs",
                "use {cache_enterprise_core::Entry, cache_enterprise_engine::Hit};\n",
            ),
        ]);
        let violations = check(&tree).unwrap();
        assert_eq!(violations.len(), 1);
        assert_eq!(
            violations[0].to_string(),
            "crates/cache-enterprise-memory/Cargo.toml:13: \
             cache-enterprise-memory knows cache-enterprise-engine, which its layer may not: \
             move what it needs to a lower layer, or the code that needs it to a higher one"
        );
    }

    #[test]
    fn breaches_come_in_the_order_of_the_files() {
        let tree = Tree::of(&[
            ("crates/cache-enterprise-memory/src/b.rs", "#[ignore]\nfn b() {}\n"),
            ("crates/cache-enterprise-memory/src/a.rs", "\n#[ignore]\n#[ignore]\nfn a() {}\n"),
        ]);
        let places: Vec<_> =
            check(&tree).unwrap().iter().map(|v| (v.path.clone(), v.line)).collect();
        let a = "crates/cache-enterprise-memory/src/a.rs".to_owned();
        let b = "crates/cache-enterprise-memory/src/b.rs".to_owned();
        assert_eq!(places, [(a.clone(), 2), (a, 3), (b, 1)]);
    }
}
