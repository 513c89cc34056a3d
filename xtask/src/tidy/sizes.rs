//! Sizes: a file is one thought, a function fits a screen.

use super::Violation;
use super::rust_text::RustText;
use crate::workspace::Tree;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 80;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    tree.texts(&[".rs"])
        .flat_map(|(path, text)| file(path, text).chain(functions(path, text)))
        .collect()
}

fn file(path: &str, text: &str) -> impl Iterator<Item = Violation> {
    let lines = text.lines().count();
    let long = (lines > FILE_LINES_MAX).then(|| {
        Violation::new(
            "file-length",
            path,
            FILE_LINES_MAX + 1,
            format!("{lines} lines in a file, the most is {FILE_LINES_MAX}"),
            "find the case axis and cut there",
        )
    });
    long.into_iter()
}

fn functions(path: &str, text: &str) -> impl Iterator<Item = Violation> {
    let long = RustText::new(text).functions().into_iter();
    long.filter(|function| function.lines > FUNCTION_LINES_MAX).map(move |function| {
        let (name, lines) = (&function.name, function.lines);
        Violation::new(
            "function-length",
            path,
            function.line,
            format!("function {name} has {lines} lines, the most is {FUNCTION_LINES_MAX}"),
            "give its steps names",
        )
        .about(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str) -> Vec<(&'static str, usize, Option<String>)> {
        let tree = Tree::of(&[("crates/a/src/lib.rs", text)]);
        check(&tree).into_iter().map(|v| (v.rule, v.line, v.subject)).collect()
    }

    #[test]
    fn limits_are_inclusive() {
        assert_eq!(breaches(&"\n".repeat(600)), []);
        assert_eq!(breaches(&"\n".repeat(601)), [("file-length", 601, None)]);

        let function = |lines: usize| format!("\nfn long() {{{}}}\n", "\n".repeat(lines - 1));
        assert_eq!(breaches(&function(80)), []);
        assert_eq!(breaches(&function(81)), [("function-length", 2, Some("long".to_owned()))]);
    }
}
