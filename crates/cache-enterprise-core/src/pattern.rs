//! Globs over the text of keys.

use crate::{Error, Result};

/// A glob: `*` for any text, `?` for one character, `[a-z]` and `[!a-z]` for one of some, `\` before
/// a character that stands for itself. Compiled once; matching takes time in proportion to the
/// text, times the number of characters of the pattern at worst, and never more.
///
/// ```
/// use cache_enterprise_core::Pattern;
///
/// let temporary = Pattern::new("user:*:temp_*")?;
/// assert!(temporary.matches("user:7:temp_1") && !temporary.matches("user:7:name"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Token {
    Char(char),
    One,
    Any,
    Class { ranges: Vec<(char, char)>, is_negated: bool },
}

impl Token {
    fn takes(&self, found: char) -> bool {
        match self {
            Self::Char(char) => *char == found,
            Self::One | Self::Any => true,
            Self::Class { ranges, is_negated } => {
                let is_in = ranges.iter().any(|(from, to)| (*from..=*to).contains(&found));
                is_in != *is_negated
            }
        }
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When a class does not end, or the pattern ends with `\`.
    pub fn new(pattern: &str) -> Result<Self> {
        let wrong = |text: &'static str| Error::invalid(text).with("pattern", pattern);
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' if tokens.last() == Some(&Token::Any) => continue,
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => Token::Char(
                    chars.next().ok_or_else(|| wrong("the pattern ends with a backslash"))?,
                ),
                '[' => class(&mut chars).ok_or_else(|| wrong("a class of the pattern is open"))?,
                char => Token::Char(char),
            });
        }
        Ok(Self { text: pattern.to_owned(), tokens })
    }

    /// Compiles a pattern with arguments: `{name}` stands for the value of `name`, each character of
    /// which stands for itself.
    ///
    /// ```
    /// use cache_enterprise_core::Pattern;
    ///
    /// let feeds = Pattern::template("user:{user}:feed:*", &[("user", "a*b")])?;
    /// assert!(feeds.matches("user:a*b:feed:1") && !feeds.matches("user:aXb:feed:1"));
    /// assert!(Pattern::template("user:{user}", &[]).is_err());
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a name that has no value or does not end.
    pub fn template(template: &str, values: &[(&str, &str)]) -> Result<Self> {
        let mut pattern = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let named = after.split_once('}').and_then(|(name, after)| {
                let value = values.iter().find(|(known, _)| *known == name)?.1;
                Some((value, after))
            });
            let Some((value, after)) = named else {
                let text = "a name in the template has no value or does not end";
                return Err(Error::invalid(text).with("template", template));
            };
            pattern.push_str(before);
            for char in value.chars() {
                if matches!(char, '*' | '?' | '[' | ']' | '\\' | '-' | '!' | '^') {
                    pattern.push('\\');
                }
                pattern.push(char);
            }
            rest = after;
        }
        pattern.push_str(rest);
        Self::new(&pattern)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of `text` is as the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        self.takes(&text.chars().collect::<Vec<_>>())
    }

    /// As [`matches`](Self::matches), for somebody who compares one text with many patterns.
    pub(crate) fn takes(&self, text: &[char]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where the latest `*` stands, and how far it reaches by now.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::Any) => {
                    star = Some((token, at));
                    token += 1;
                }
                Some(one) if one.takes(text[at]) => {
                    token += 1;
                    at += 1;
                }
                _ => {
                    let Some((any, reach)) = star else { return false };
                    star = Some((any, reach + 1));
                    (token, at) = (any + 1, reach + 1);
                }
            }
        }
        self.tokens[token..].iter().all(|token| *token == Token::Any)
    }
}

/// What stands between brackets; the first of them was read.
fn class(chars: &mut std::str::Chars<'_>) -> Option<Token> {
    let mut rest = chars.clone();
    let mut is_negated = false;
    if let Some('!' | '^') = rest.clone().next() {
        is_negated = true;
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let from = match rest.next()? {
            ']' if !ranges.is_empty() => break,
            '\\' => rest.next()?,
            from => from,
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some('\\')) => {
                let to = ahead.next()?;
                rest = ahead;
                to
            }
            (Some('-'), Some(to)) if to != ']' => {
                rest = ahead;
                to
            }
            _ => from,
        };
        ranges.push((from, to));
    }
    *chars = rest;
    Some(Token::Class { ranges, is_negated })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn what_is_quoted_in_a_class_stands_for_itself() {
        let template = |value: &str| Pattern::template("[{c}]", &[("c", value)]).unwrap();
        assert!(template("^a").matches("a") && template("^a").matches("^"));
        assert!(!template("^a").matches("b") && !template("!a").matches("b"));
        assert!(template("a-c").matches("-") && !template("a-c").matches("b"));
        assert!(matches("[a-\\z]", "m") && !matches("[a-\\z]", "\\"));
    }

    #[test]
    fn each_kind_of_sign_takes_what_it_says() {
        let right = [
            ("", ""),
            ("*", ""),
            ("*", "ü:x"),
            ("user:*:temp_*", "user::temp_"),
            ("a*b*c", "aXbXbXc"),
            ("a?c", "aüc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]a]", "]"),
            ("[a-]", "-"),
            ("\\*", "*"),
            ("[\\]]", "]"),
            ("**a", "ba"),
        ];
        for (pattern, text) in right {
            assert!(matches(pattern, text), "{pattern} takes {text}");
        }
        let wrong = [
            ("", "a"),
            ("a", ""),
            ("a?c", "ac"),
            ("user:*:temp_*", "user:7:name"),
            ("[a-c]x", "dx"),
            ("[!a-c]x", "ax"),
            ("\\*", "x"),
            ("a*b", "abc"),
        ];
        for (pattern, text) in wrong {
            assert!(!matches(pattern, text), "{pattern} does not take {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_in_time() {
        assert!(!matches(&"*a".repeat(50), &"b".repeat(20_000)));
        assert!(!matches(&format!("{}c", "a*".repeat(50)), &"a".repeat(20_000)));
    }

    #[test]
    fn what_is_open_is_refused() {
        for pattern in ["[a", "[", "[!", "a\\", "[]"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
