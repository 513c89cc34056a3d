//! The rules of coherence that code can break, and the file that says who finds their loss: a rule
//! on one side alone is broken by nobody, or missed by nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::rust_text::RustText;
use crate::failure::Outcome;
use crate::mutants::rules::{self, Proof, RULES, Rule};
use crate::workspace::Tree;

/// A place in our code that asks whether a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Switch<'t> {
    rule: &'t str,
    path: &'t str,
    line: usize,
}

pub(super) fn check(tree: &Tree) -> Outcome<Vec<Violation>> {
    let rules = match tree.text(RULES) {
        Some(text) => listed(text)?,
        None => Vec::new(),
    };
    let switches: Vec<Switch<'_>> = sources(tree).flat_map(|(path, t)| switches(path, t)).collect();
    let mut violations = Vec::new();
    for Switch { rule, path, line } in &switches {
        if !rules.iter().any(|(_, listed)| listed.name == *rule) {
            let what = format!("`{rule}` can be broken, and nobody is named who finds its loss");
            violations.push(breach(path, *line, what, &format!("give it a [[rule]] in {RULES}")));
        }
    }
    for (line, Rule { name, .. }) in &rules {
        if !switches.iter().any(|switch| switch.rule == name) {
            let what = format!("no code can break `{name}`");
            violations.push(breach(RULES, *line, what, "write it as the code does, or remove it"));
        }
    }
    violations.extend(tests_that_are_gone(&rules, tree));
    Ok(violations)
}

fn breach(path: &str, line: usize, what: String, fix: &str) -> Violation {
    Violation::new("mutant", path, line, what, fix)
}

/// The rules of the file, with their lines.
fn listed(text: &str) -> Outcome<Vec<(usize, Rule)>> {
    let heads = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[rule]]");
    Ok(heads.map(|(index, _)| index + 1).zip(rules::parse(text)?).collect())
}

/// The sources and tests of our crates.
fn sources(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts(&[".rs"]).filter(|(path, _)| {
        let below = path.strip_prefix("crates/").and_then(|path| path.split_once('/'));
        below.is_some_and(|(_, below)| below.starts_with("src/") || below.starts_with("tests/"))
    })
}

fn switches<'t>(path: &'t str, text: &'t str) -> Vec<Switch<'t>> {
    const NAME: &str = "mutant::breaks(";
    if !text.contains(NAME) {
        return Vec::new();
    }
    let code = RustText::new(text);
    let switch = |(at, _): (usize, &str)| {
        // Literals are blank in the code, and every byte of it has its place in the text.
        let literal = text[at + NAME.len()..].trim_start().strip_prefix('"')?;
        let (rule, _) = literal.split_once('"')?;
        Some(Switch { rule, path, line: code.line(at) })
    };
    code.code().match_indices(NAME).filter_map(switch).collect()
}

/// Rules whose test no function of the package has the name of.
fn tests_that_are_gone(rules: &[(usize, Rule)], tree: &Tree) -> Vec<Violation> {
    let mut functions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut violations = Vec::new();
    for (line, rule) in rules {
        let Proof::Test { package, name, .. } = &rule.proof else { continue };
        let known = functions.entry(package).or_insert_with(|| functions_of(package, tree));
        let function = name.rsplit("::").next().unwrap_or(name);
        if !known.contains(function) {
            let what = format!("{package} has no function `{function}`");
            violations.push(breach(RULES, *line, what, "name a test that is there"));
        }
    }
    violations
}

fn functions_of(package: &str, tree: &Tree) -> BTreeSet<String> {
    let folder = format!("crates/{package}/");
    let ours = sources(tree).filter(|(path, _)| path.starts_with(&folder));
    ours.flat_map(|(_, text)| RustText::new(text).functions()).map(|f| f.name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LISTED: &str = "# Why.\n[[rule]]\nname = \"one load\"\nseeds = [0, 9]\n\n\
                          [[rule]]\nname = \"no elder\"\ntest = \"a lib b::tests::ends\"\n";

    const CODE: &str = "\
fn read() -> bool {
    mutant::breaks(\"one load\") || mutant::breaks(
        \"no elder\",
    )
}
mod tests {
    fn ends() {}
}
";

    fn breaches(listed: &str, code: &str) -> Vec<String> {
        let tree = Tree::of(&[(RULES, listed), ("crates/a/src/b.rs", code)]);
        check(&tree).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_agrees_is_no_breach() {
        assert_eq!(breaches(LISTED, CODE), [""; 0]);
        let comment = format!("{CODE}// mutant::breaks(\"other\")\nfn breaks(_rule: &str) {{}}\n");
        assert_eq!(breaches(LISTED, &comment), [""; 0]);
        assert!(check(&Tree::of(&[("crates/a/src/b.rs", "fn a() {}")])).unwrap().is_empty());
    }

    #[test]
    fn a_rule_that_is_not_listed_is_found() {
        let other = CODE.replace("\"no elder\",", "\"no older\",");
        assert_eq!(
            breaches(LISTED, &other),
            [
                "crates/a/src/b.rs:2: `no older` can be broken, and nobody is named who finds its \
                 loss: give it a [[rule]] in crates/cache-enterprise-chaos/rules.toml",
                "crates/cache-enterprise-chaos/rules.toml:6: no code can break `no elder`: \
                 write it as the code does, or remove it",
            ]
        );
    }

    #[test]
    fn a_test_that_is_gone_is_found() {
        let renamed = CODE.replace("fn ends", "fn ended");
        assert_eq!(
            breaches(LISTED, &renamed),
            ["crates/cache-enterprise-chaos/rules.toml:6: a has no function `ends`: \
              name a test that is there"]
        );
    }

    #[test]
    fn a_test_of_another_package_is_no_proof() {
        let other = LISTED.replace("\"a lib", "\"ab lib");
        assert_eq!(breaches(&other, CODE).len(), 1);
    }
}
