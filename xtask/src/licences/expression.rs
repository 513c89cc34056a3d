//! SPDX licence expressions, as far as manifests use them.

use crate::failure::{Failure, Outcome};

/// A licence expression; `OR` asks for one side, `AND` for both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// One licence, with its exception where it has one: `Apache-2.0 WITH LLVM-exception`.
    Licence(String),
    Or(Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// Reads `text`. The slash of old manifests (`MIT/Apache-2.0`) means `OR`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_whitespace().collect::<Vec<_>>();
        words.reverse();
        let mut parser = Parser { text, words };
        let expression = parser.alternatives()?;
        match parser.words.pop() {
            None => Ok(expression),
            Some(word) => Err(parser.unexpected(word)),
        }
    }

    /// Whether the licences for which `is_allowed` holds suffice.
    pub(crate) fn is_met(&self, is_allowed: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Expression::Licence(licence) => is_allowed(licence),
            Expression::Or(a, b) => a.is_met(is_allowed) || b.is_met(is_allowed),
            Expression::And(a, b) => a.is_met(is_allowed) && b.is_met(is_allowed),
        }
    }
}

/// `AND` binds tighter than `OR`; the words stand in reverse, the next one last.
struct Parser<'t> {
    text: &'t str,
    words: Vec<&'t str>,
}

impl<'t> Parser<'t> {
    fn alternatives(&mut self) -> Outcome<Expression> {
        let mut left = self.conjunction()?;
        while self.take("OR") {
            left = Expression::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Outcome<Expression> {
        let mut left = self.licence()?;
        while self.take("AND") {
            left = Expression::And(Box::new(left), Box::new(self.licence()?));
        }
        Ok(left)
    }

    fn licence(&mut self) -> Outcome<Expression> {
        if self.take("(") {
            let inner = self.alternatives()?;
            return if self.take(")") { Ok(inner) } else { Err(self.unexpected("the end")) };
        }
        let name = self.name()?;
        if self.take("WITH") {
            let exception = self.name()?;
            return Ok(Expression::Licence(format!("{name} WITH {exception}")));
        }
        Ok(Expression::Licence(name.to_owned()))
    }

    fn name(&mut self) -> Outcome<&'t str> {
        match self.words.pop() {
            Some(word) if !matches!(word, "AND" | "OR" | "WITH" | "(" | ")") => Ok(word),
            Some(word) => Err(self.unexpected(word)),
            None => Err(self.unexpected("the end")),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.last().is_some_and(|next| *next == word);
        if is_next {
            self.words.pop();
        }
        is_next
    }

    fn unexpected(&self, word: &str) -> Failure {
        Failure::new(format!("the licence expression `{}` is broken at `{word}`", self.text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_met(expression: &str, allowed: &[&str]) -> bool {
        Expression::parse(expression).unwrap().is_met(&|licence| allowed.contains(&licence))
    }

    #[test]
    fn or_needs_one_and_needs_all() {
        assert!(is_met("MIT OR GPL-2.0-only", &["MIT"]));
        assert!(is_met("MIT/Apache-2.0", &["Apache-2.0"]));
        assert!(!is_met("MIT AND GPL-2.0-only", &["MIT"]));
        assert!(is_met("(MIT OR Apache-2.0) AND Unicode-3.0", &["MIT", "Unicode-3.0"]));
        assert!(!is_met("(MIT OR Apache-2.0) AND Unicode-3.0", &["MIT", "Apache-2.0"]));
    }

    #[test]
    fn and_binds_tighter() {
        assert!(is_met("MIT OR Zlib AND ISC", &["MIT"]));
        assert!(!is_met("MIT AND Zlib OR ISC", &["MIT"]));
        assert!(is_met("MIT AND Zlib OR ISC", &["ISC"]));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        let text = "Apache-2.0 WITH LLVM-exception OR MIT";
        assert!(!is_met(text, &["Apache-2.0"]));
        assert!(is_met(text, &["Apache-2.0 WITH LLVM-exception"]));
        assert!(is_met(text, &["MIT"]));
    }

    #[test]
    fn broken_expressions_are_refused() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "MIT Zlib", "AND MIT", "MIT WITH"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
