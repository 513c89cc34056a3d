//! Words and names that do not belong: claims, other people's hosts, one machine's paths, names
//! that say nothing, and tests that sleep or do not run.

use super::Violation;
use super::rust_text::RustText;
use crate::workspace::Tree;

/// This file spells out what it looks for.
const ITSELF: &str = "xtask/src/tidy/words.rs";

/// Numbers say it, with the command that yields them.
const CLAIMS: &[&str] = &[
    "blazing",
    "blistering",
    "lightning-fast",
    "lightning fast",
    "ultra-fast",
    "super-fast",
    "super fast",
    "insanely",
    "world-class",
    "cutting-edge",
    "state-of-the-art",
    "military-grade",
    "battle-tested",
    "bulletproof",
    "unparalleled",
];

/// Put together here, so that this file does not hold what it forbids.
const HOSTS: &[&str] = &[
    concat!("crates", ".io/"),
    concat!("registry", ".npm"),
    concat!("pypi", ".org"),
    concat!("deb.", "debian"),
];

const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

const SLEEPS: &[&str] = &["thread::sleep", "time::sleep"];

/// Where sleeps come from, and what they are called there.
const SLEEP_MODULES: &[&str] = &["thread", "time"];
const SLEEP_NAMES: &[&str] = &["sleep", "sleep_ms", "sleep_until"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.texts(&[".rs", ".md", ".toml", ".yml", ".yaml", ".sh", ".ci/run"]) {
        if path != ITSELF {
            violations.extend(prose(path, text));
        }
    }
    for (path, text) in tree.texts(&[".rs"]) {
        let code = RustText::new(text);
        violations.extend(names(path, &code));
        violations.extend(tests_that_do_not_run(path, text, &code));
        violations.extend(tests_that_sleep(path, &code));
    }
    violations
}

fn prose(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut found = |word: &str, what: &str, fix: &str| {
            let violation =
                Violation::new("word", path, index + 1, format!("{what} `{word}`"), fix);
            violations.push(violation.about(word));
        };
        for word in CLAIMS.iter().filter(|word| lower.contains(**word)) {
            found(word, "the claim", "give a number and the command that yields it");
        }
        for host in HOSTS.iter().filter(|host| lower.contains(**host)) {
            found(host, "the host of a registry", "name the package, not where it is kept");
        }
        for folder in MACHINE_PATHS.iter().filter(|folder| has_absolute(line, folder)) {
            found(folder, "a path of one machine", "write it relative to the repository");
        }
    }
    violations
}

/// Whether `folder` begins a path in `line`, rather than being a later part of one.
fn has_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-}$*".contains(c))
    })
}

fn names(path: &str, code: &RustText) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut found = |line: usize, name: &str| {
        violations.push(Violation::new(
            "name",
            path,
            line,
            format!("a module called `{name}`"),
            "name it after what it holds",
        ));
    };
    let parts = path.trim_end_matches(".rs").split('/');
    if let Some(name) = parts.into_iter().find(|part| EMPTY_NAMES.contains(part)) {
        found(1, name);
    }
    for at in code.words("mod") {
        let rest = code.code()[at + 3..].trim_start();
        let inline = rest
            .split_once('{')
            .map(|(name, _)| name.trim_end())
            .and_then(|name| EMPTY_NAMES.iter().find(|empty| **empty == name));
        if let Some(name) = inline {
            found(code.line(at), name);
        }
    }
    violations
}

fn tests_that_do_not_run(path: &str, text: &str, code: &RustText) -> Vec<Violation> {
    let mut lines: Vec<usize> = Vec::new();
    for (index, line) in code.code().lines().enumerate() {
        let line = line.trim_start();
        let conditional = line.starts_with("#[cfg_attr(")
            && line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "ignore");
        if line.contains("#[ignore") || conditional {
            lines.push(index + 1);
        }
    }
    for (index, line) in text.lines().enumerate() {
        let doc = line.trim_start().strip_prefix("///").or(line.trim_start().strip_prefix("//!"));
        let fence = doc.and_then(|doc| doc.trim_start().strip_prefix("```"));
        if fence.is_some_and(|info| info.split(',').any(|word| word.trim() == "ignore")) {
            lines.push(index + 1);
        }
    }
    let violation = |line| {
        let fix = "make it run, put it behind a target with required-features, or remove it";
        Violation::new("ignored-test", path, line, "a test that does not run", fix)
    };
    lines.into_iter().map(violation).collect()
}

fn tests_that_sleep(path: &str, code: &RustText) -> Vec<Violation> {
    let whole_file = path.contains("/tests/") || path.ends_with("/tests.rs");
    let modules = code.test_modules();
    let is_test = |at: usize| whole_file || modules.iter().any(|module| module.contains(&at));
    let spelled = SLEEPS.iter().flat_map(|sleep| code.code().match_indices(sleep));
    let sleeps = spelled.chain(sleeps_in_groups(code));
    let violation = |(at, sleep): (usize, &str)| {
        let what = format!("a test that sleeps (`{sleep}`)");
        let fix = "move a manual clock, wait for the event, or except a clock that is paused";
        Violation::new("sleep", path, code.line(at), what, fix)
    };
    sleeps.filter(|(at, _)| is_test(*at)).map(violation).collect()
}

/// The sleeps that `use tokio::time::{Instant, sleep}` brings, by themselves in a group of names.
fn sleeps_in_groups(code: &RustText) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.words("use").flat_map(move |start| {
        let import = code.code()[start..].split(';').next().unwrap_or_default();
        let has_module = import.split(|c| !is_part(c)).any(|word| SLEEP_MODULES.contains(&word));
        let names = SLEEP_NAMES.iter().filter(move |_| has_module);
        names.flat_map(move |name| {
            let end = start + import.len();
            let alone = code.words(name).filter(move |&at| {
                (start..end).contains(&at) && !code.code()[..at].ends_with("::")
            });
            alone.map(move |at| (at, *name))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Tree::of(&[(path, text)])).iter().map(|v| (v.rule, v.line)).collect()
    }

    #[test]
    fn claims_hosts_and_machine_paths_are_found_in_prose() {
        assert_eq!(breaches("README.md", "one\nA Blazing cache\n"), [("word", 2)]);
        assert_eq!(breaches("a/src/a.rs", &format!("// see {}x\n", HOSTS[0])), [("word", 1)]);
        assert_eq!(
            breaches("a.toml", &format!("path = \"{}a\"\n", MACHINE_PATHS[0])),
            [("word", 1)]
        );
    }

    #[test]
    fn a_later_part_of_a_path_is_no_absolute_path() {
        let later = format!("cd var{}a\n", MACHINE_PATHS[1]);
        assert_eq!(breaches("README.md", &later), []);
    }

    #[test]
    fn modules_without_a_name_are_found() {
        assert_eq!(breaches("crates/a/src/utils.rs", "fn a() {}\n"), [("name", 1)]);
        assert_eq!(breaches("crates/a/tests/common/mod.rs", "fn a() {}\n"), [("name", 1)]);
        assert_eq!(breaches("crates/a/src/lib.rs", "\npub mod helpers { }\n"), [("name", 2)]);
        assert_eq!(breaches("crates/a/src/lib.rs", "mod commons { }\n// mod utils { }\n"), []);
    }

    #[test]
    fn tests_that_do_not_run_are_found() {
        assert_eq!(
            breaches("a/src/a.rs", "#[test]\n#[ignore = \"x\"]\nfn a() {}\n"),
            [("ignored-test", 2)]
        );
        assert_eq!(
            breaches("a/src/a.rs", "#[cfg_attr(unix, ignore)]\nfn a() {}\n"),
            [("ignored-test", 1)]
        );
        assert_eq!(
            breaches("a/src/a.rs", "/// ```rust,ignore\n/// ```\nfn a() {}\n"),
            [("ignored-test", 1)]
        );
        assert_eq!(breaches("a/src/a.rs", "/// `#[ignore]`\nfn a() { \"#[ignore]\"; }\n"), []);
    }

    #[test]
    fn sleeping_is_found_in_tests_only() {
        let sleep = "use std::thread;\nfn a() { thread::sleep(d); }\n";
        assert_eq!(breaches("crates/a/tests/story.rs", sleep), [("sleep", 2)]);
        assert_eq!(breaches("crates/a/src/a.rs", sleep), []);
        let module = "#[cfg(test)]\nmod tests {\n    use tokio::time::sleep;\n}\n";
        assert_eq!(breaches("crates/a/src/a.rs", module), [("sleep", 3)]);
    }

    #[test]
    fn a_sleep_in_a_group_of_names_is_found() {
        let story = |text: &str| breaches("crates/a/tests/story.rs", text);
        assert_eq!(story("use tokio::time::{Instant, sleep};\n"), [("sleep", 1)]);
        assert_eq!(story("use std::{\n    thread::{self,\n    sleep},\n};\n"), [("sleep", 3)]);
        assert_eq!(story("use tokio::time::{sleep_until as until};\n"), [("sleep", 1)]);
        assert_eq!(story("use std::{thread::sleep, time::Duration};\n"), [("sleep", 1)]);
        assert_eq!(story("use tokio::time::{Instant, sleeper};\nfn sleep() {}\n"), []);
        assert_eq!(story("use crate::origin::{sleep, wake};\n"), []);
        let source = "use tokio::time::{Instant, sleep};\n";
        assert_eq!(breaches("crates/a/src/a.rs", source), []);
    }
}
