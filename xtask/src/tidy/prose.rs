//! Lines of pages: prose is wrapped where code is, so that a change of a word shows as one.

use super::Violation;
use crate::workspace::Tree;

const COLUMNS_MAX: usize = 120;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let long = |(path, text)| {
        let violation = move |(line, columns): (usize, usize)| {
            let what = format!("{columns} characters in a line, the most is {COLUMNS_MAX}");
            Violation::new("line-length", path, line, what, "wrap the paragraph")
        };
        long_lines(text).into_iter().map(violation)
    };
    tree.texts(&[".md"]).flat_map(long).collect()
}

/// The lines that are too long, with their characters; those of code, tables and headings cannot be
/// wrapped.
fn long_lines(text: &str) -> Vec<(usize, usize)> {
    let mut long = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let begun = unmarked(line);
        let mark = ["```", "~~~"].into_iter().find(|mark| begun.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        let is_prose = fence.is_none() && mark.is_none() && !line.starts_with(['|', '#']);
        let columns = line.chars().count();
        if is_prose && columns > COLUMNS_MAX && !is_one_word(begun) {
            long.push((index + 1, columns));
        }
    }
    long
}

/// The line behind the marks of lists and quotations.
fn unmarked(line: &str) -> &str {
    let line = line.trim_start();
    let Some((word, rest)) = line.split_once(' ') else { return line };
    let number = word.trim_end_matches(['.', ')']);
    let is_numbered = number.len() < word.len() && number.parse::<u32>().is_ok();
    match is_numbered || matches!(word, "*" | "-" | "+" | ">") {
        true => unmarked(rest),
        false => line,
    }
}

/// Whether nothing can be parted from the rest: spaces within a span of code and within a link stay
/// where they are.
fn is_one_word(line: &str) -> bool {
    joined(line).split_whitespace().nth(1).is_none()
}

/// The line without the spaces at which it may not be wrapped.
fn joined(line: &str) -> String {
    let mut joined = String::new();
    let (mut is_code, mut brackets) = (false, 0_usize);
    for (at, c) in line.char_indices() {
        match c {
            // A tick that nothing closes is no code, and a bracket neither.
            '`' => is_code = !is_code && line[at + 1..].contains('`'),
            '[' if !is_code && line[at + 1..].contains("](") => brackets += 1,
            ']' if !is_code => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if !c.is_whitespace() || (!is_code && brackets == 0) {
            joined.push(c);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        long_lines(text).into_iter().map(|(line, _)| line).collect()
    }

    fn words(length: usize) -> String {
        let mut words = "word ".repeat(length.div_ceil(5));
        words.truncate(length - 1);
        words + "x"
    }

    #[test]
    fn the_limit_is_inclusive_and_counts_characters() {
        assert_eq!(lines(&words(120)), [0; 0]);
        assert_eq!(lines(&format!("one\n\n  {}\n", words(119))), [3]);
        assert_eq!(lines(&words(120).replace('w', "ø")), [0; 0]);
    }

    #[test]
    fn code_tables_and_headings_are_not_wrapped() {
        let long = words(130);
        assert_eq!(lines(&format!("```text\n{long}\n```\n| {long} |\n## {long}\n")), [0; 0]);
        assert_eq!(lines(&format!("~~~\n```\n{long}\n~~~\n{long}\n")), [5]);
        assert_eq!(lines(&format!("* ```\n  {long}\n  ```\n* {long}\n")), [4]);
    }

    #[test]
    fn what_cannot_be_parted_may_be_long() {
        let (word, long) = ("x".repeat(130), words(130));
        for whole in [
            word.clone(),
            format!("[{long}](docs/a.md)."),
            format!("  * (`{long}`),"),
            format!("12. > [`{long}`]({word})"),
        ] {
            let breaches = lines(&whole);
            assert_eq!(breaches, [0; 0], "{whole}");
        }
        for parted in [
            format!("a {word}"),
            format!("`{long}` and"),
            format!("[{long}"),
            format!("`{long}"),
            format!("[a](b) [{long}](c)"),
        ] {
            assert_eq!(lines(&parted), [1], "{parted}");
        }
    }
}
