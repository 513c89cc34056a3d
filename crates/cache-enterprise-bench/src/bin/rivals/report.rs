//! One line a scenario and library: a table for people, JSON lines for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::scenario::Outcome;

/// What one library did in one scenario.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) library: &'a str,
    pub(crate) version: &'a str,
    pub(crate) outcome: Outcome,
    pub(crate) seen: &'a str,
}

/// Prints lines as they come.
pub(crate) struct Report {
    is_json: bool,
    /// The scenario of the last line, which heads its part of the table.
    head: String,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json, head: String::new() }
    }

    pub(crate) fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_json {
            serde_json::to_writer(&mut out, line)?;
            return writeln!(out);
        }
        if self.head != line.scenario {
            line.scenario.clone_into(&mut self.head);
            writeln!(out, "\n{}", line.scenario)?;
        }
        let library = format!("{} {}", line.library, line.version);
        writeln!(out, "  {library:<26} {:<12} {}", line.outcome.name(), line.seen)
    }
}

/// Tells the person who waits; stdout is kept for outcomes.
pub(crate) fn progress(text: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_has_exactly_the_agreed_fields() {
        let line = Line {
            scenario: "late joiner",
            library: "moka",
            version: "1.2.3",
            outcome: Outcome::NotOffered,
            seen: "nothing",
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"scenario":"late joiner","library":"moka","version":"1.2.3","outcome":"not offered","seen":"nothing"}"#
        );
    }
}
