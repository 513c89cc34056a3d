//! Exceptions: one file lists them, each with its reason, and each must still be needed.

use toml::{Table, Value};

use super::Violation;
use crate::failure::{Failure, Outcome};
use crate::workspace::Tree;

const FILE: &str = "xtask/tidy-exceptions.toml";

/// Rules that may be excepted. The others (layers, clients, manifests, links, tests that do not
/// run) have no good reason to be broken.
const EXCEPTABLE: &[&str] = &["file-length", "function-length", "sleep", "word"];

#[derive(Debug)]
struct Exception {
    line: usize,
    rule: String,
    path: String,
    /// The function or word; none excepts the whole file from the rule.
    name: Option<String>,
}

impl Exception {
    fn covers(&self, violation: &Violation) -> bool {
        self.rule == violation.rule
            && self.path == violation.path
            && self.name.as_ref().is_none_or(|name| Some(name) == violation.subject.as_ref())
    }
}

/// Takes the excepted violations away and adds one for every exception nobody needs.
pub(super) fn apply(violations: Vec<Violation>, tree: &Tree) -> Outcome<Vec<Violation>> {
    let exceptions = match tree.text(FILE) {
        Some(text) => parse(text)?,
        None => Vec::new(),
    };
    let idle = exceptions
        .iter()
        .filter(|exception| !violations.iter().any(|violation| exception.covers(violation)))
        .map(|exception| {
            let Exception { line, rule, path, .. } = exception;
            let what = format!("the exception of {path} from {rule} is not needed");
            Violation::new("exception", FILE, *line, what, "remove it")
        });
    let mut left: Vec<Violation> = idle.collect();
    let excepted = |violation: &Violation| exceptions.iter().any(|e| e.covers(violation));
    left.extend(violations.into_iter().filter(|violation| !excepted(violation)));
    Ok(left)
}

fn parse(text: &str) -> Outcome<Vec<Exception>> {
    let document: Table = text.parse().map_err(Failure::of(format!("reading `{FILE}`")))?;
    let entries = match document.get("exception") {
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(_) => return Err(Failure::new(format!("`{FILE}`: write [[exception]]"))),
        None => &[],
    };
    let heads = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[exception]]");
    let lines = heads.map(|(index, _)| index + 1);
    lines.zip(entries).map(|(line, entry)| exception(line, entry)).collect()
}

fn exception(line: usize, entry: &Value) -> Outcome<Exception> {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| {
        let text = field(name).filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| Failure::new(format!("{FILE}:{line}: the exception has no {name}")))
    };
    required("reason")?;
    let exception =
        Exception { line, rule: required("rule")?, path: required("path")?, name: field("name") };
    if !EXCEPTABLE.contains(&exception.rule.as_str()) {
        let rules = EXCEPTABLE.join(", ");
        return Err(Failure::new(format!("{FILE}:{line}: only {rules} may be excepted")));
    }
    Ok(exception)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn long_function(name: &str) -> Violation {
        Violation::new("function-length", "a/src/a.rs", 7, "long", "cut").about(name)
    }

    fn file(entry: &str) -> Tree {
        Tree::of(&[(FILE, entry)])
    }

    const ONE: &str = "# Why these exist.\n[[exception]]\nrule = \"function-length\"\n\
                       path = \"a/src/a.rs\"\nname = \"table\"\nreason = \"one arm a code\"\n";

    #[test]
    fn an_exception_covers_what_it_names_and_no_more() {
        let left = apply(vec![long_function("table"), long_function("other")], &file(ONE)).unwrap();
        let subjects: Vec<_> = left.into_iter().filter_map(|v| v.subject).collect();
        assert_eq!(subjects, ["other"]);
    }

    #[test]
    fn an_exception_nobody_needs_is_a_breach() {
        let left = apply(Vec::new(), &file(ONE)).unwrap();
        assert_eq!(
            left[0].to_string(),
            "xtask/tidy-exceptions.toml:2: the exception of a/src/a.rs from function-length is \
             not needed: remove it"
        );
    }

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        let silent = ONE.replace("reason", "because");
        let failure = apply(Vec::new(), &file(&silent)).unwrap_err().to_string();
        assert!(failure.ends_with("the exception has no reason"), "{failure}");
    }

    #[test]
    fn layers_have_no_exceptions() {
        let layer = ONE.replace("function-length", "layer");
        assert!(apply(Vec::new(), &file(&layer)).is_err());
    }
}
