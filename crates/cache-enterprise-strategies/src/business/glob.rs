//! Patterns over keys.

use cache_enterprise_core::{Error, Result};

const PATTERN_MAX: usize = 256;

/// A pattern: `*` is any text, `?` one character, `[a-z_]` one of these, `[!a-z]` or `[^a-z]` one of
/// all others, and `\` takes the next character as it is. The whole key must match.
///
/// A match takes as many steps as the key has characters times the stretches between stars, at
/// most; nothing is tried twice beyond that.
///
/// ```
/// use cache_enterprise_core::Error;
/// use cache_enterprise_strategies::business::Glob;
///
/// let sessions = Glob::new("user:*:session_[0-9]?")?;
/// assert!(sessions.matches("user:7:eu:session_4x"));
/// assert!(!sessions.matches("user:7:session_x4"));
/// assert!(Glob::new("user:[a-").is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(char),
    One,
    Any,
    Set { ranges: Vec<(char, char)>, others: bool },
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Text(own) => *own == character,
            Self::One => true,
            Self::Any => false,
            Self::Set { ranges, others } => {
                let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&character));
                inside != *others
            }
        }
    }
}

impl Glob {
    /// Reads a pattern of 1 to 256 bytes.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) if it is empty or longer, ends within
    /// brackets or after a `\`, or has a range that runs backwards.
    pub fn new(pattern: &str) -> Result<Self> {
        if pattern.is_empty() || pattern.len() > PATTERN_MAX {
            return Err(unreadable("it has 1 to 256 bytes"));
        }
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            let token = match character {
                // Two stars mean what one means.
                '*' if tokens.last() == Some(&Token::Any) => continue,
                '*' => Token::Any,
                '?' => Token::One,
                '[' => set(&mut rest)?,
                '\\' => Token::Text(rest.next().ok_or_else(|| unreadable("it ends after a \\"))?),
                other => Token::Text(other),
            };
            tokens.push(token);
        }
        Ok(Self { tokens })
    }

    /// Whether the whole key matches.
    pub fn matches(&self, key: &str) -> bool {
        let mut tokens = &self.tokens[..];
        let mut key = key.chars();
        // Where to go on if what follows the last star does not match: the star takes one more.
        let mut retry: Option<(&[Token], std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = key.clone();
            match (tokens.split_first(), ahead.next()) {
                (Some((Token::Any, after)), _) => {
                    tokens = after;
                    retry = Some((after, key.clone()));
                    continue;
                }
                (Some((token, after)), Some(character)) if token.takes(character) => {
                    (tokens, key) = (after, ahead);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (tokens, key) = (after, from.clone());
        }
    }
}

fn set(rest: &mut std::str::Chars<'_>) -> Result<Token> {
    let open = || unreadable("its brackets stay open");
    let mut ranges = Vec::new();
    let mut next = rest.next().ok_or_else(open)?;
    let others = matches!(next, '!' | '^');
    if others {
        next = rest.next().ok_or_else(open)?;
    }
    loop {
        // A closing bracket in the first place stands for itself.
        if next == ']' && !ranges.is_empty() {
            return Ok(Token::Set { ranges, others });
        }
        let from = if next == '\\' { rest.next().ok_or_else(open)? } else { next };
        next = rest.next().ok_or_else(open)?;
        if next != '-' {
            ranges.push((from, from));
            continue;
        }
        let to = rest.next().ok_or_else(open)?;
        if to == ']' {
            // A dash in the last place stands for itself.
            ranges.extend([(from, from), ('-', '-')]);
            return Ok(Token::Set { ranges, others });
        }
        if to < from {
            return Err(unreadable("a range in brackets runs backwards"));
        }
        ranges.push((from, to));
        next = rest.next().ok_or_else(open)?;
    }
}

fn unreadable(rule: &'static str) -> Error {
    Error::config("a pattern of keys cannot be read")
        .operation("read the rules of the business")
        .with("rule", rule)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Glob::new(pattern).expect("the pattern can be read").matches(key)
    }

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, yes, no) in [
            ("*", vec!["", "a", "a:b"], vec![]),
            ("a*c", vec!["ac", "abc", "abcbc"], vec!["abcd", "bc", ""]),
            ("a**c", vec!["ac", "axxc"], vec!["a"]),
            ("??", vec!["ab", "éü"], vec!["a", "abc"]),
            ("x[]a]y", vec!["x]y", "xay"], vec!["xby"]),
            ("[!0-9]*", vec!["a1"], vec!["1a", ""]),
            ("[a-]", vec!["a", "-"], vec!["b"]),
            (r"\*[\]]", vec!["*]"], vec!["a]"]),
            ("*a*a*b", vec!["aab", "xaayab"], vec!["ab", "aaba"]),
        ] {
            for key in yes {
                assert!(matches(pattern, key), "{pattern} should match {key}");
            }
            for key in no {
                assert!(!matches(pattern, key), "{pattern} should not match {key}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for pattern in ["", "[", "[]", "[a", "[!", "[a-", "[z-a]", "a\\", "[\\", &"x".repeat(257)] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    /// The meaning of a pattern, word by word, without regard to cost.
    fn plainly(pattern: &[char], key: &[char]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                plainly(rest, key) || !key.is_empty() && plainly(pattern, &key[1..])
            }
            (['?', rest @ ..], [_, key @ ..]) => plainly(rest, key),
            ([own, rest @ ..], [other, key @ ..]) => own == other && plainly(rest, key),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_take_what_they_must(pattern in "[ab*?]{1,8}", key in "[abc]{0,10}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &key), plainly(&letters(&pattern), &letters(&key)));
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in ".{0,40}", key in ".{0,40}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.matches(&key);
            }
        }
    }
}
