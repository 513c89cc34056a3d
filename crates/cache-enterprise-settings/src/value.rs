//! A value after its key has said what it means.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{BackendOption, Capacity, NAME_BYTES_MAX};

use crate::keys::Kind;
use crate::layer::Raw;
use crate::quantity::{self, Fault};
use crate::secret::{SecretRef, has_password, is_secret_name};

/// An option of a backend that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A single value, as it was written.
    Text(String),
    /// A list of values.
    List(Vec<String>),
    /// Where a secret is kept.
    Secret(SecretRef),
}

impl From<OptionValue> for BackendOption {
    fn from(value: OptionValue) -> Self {
        match value {
            OptionValue::Text(text) => Self::Text(text),
            OptionValue::List(items) => Self::List(items),
            OptionValue::Secret(secret) => Self::Secret(Arc::new(secret)),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Name(String),
    Flag(bool),
    Count(u32),
    Share(f64),
    Time(Duration),
    /// A time that is switched off.
    Off,
    Forever,
    Size(u64),
    Capacity(Capacity),
    Path(PathBuf),
    Free(OptionValue),
}

impl Typed {
    /// Reads what was written for a key of `kind` whose last part is `name`.
    pub(crate) fn read(kind: Kind, name: &str, raw: &Raw) -> Result<Self, Fault> {
        let text = match raw {
            Raw::Text(text) => text.trim(),
            Raw::List(items) if kind == Kind::Free => return free_list(name, items),
            Raw::List(_) | Raw::Nothing => {
                return Err(Fault::new("is not a single value", "write one value"));
            }
        };
        match kind {
            Kind::Name => read_name(text),
            Kind::Flag => quantity::flag(text).map(Self::Flag),
            Kind::Count(least) => quantity::count(text, least).map(Self::Count),
            Kind::Share => quantity::share(text).map(Self::Share),
            Kind::TimeOrOff if text == "off" => Ok(Self::Off),
            Kind::SizeOrOff if text == "off" => Ok(Self::Off),
            Kind::Life if text == "forever" => Ok(Self::Forever),
            Kind::Time => quantity::duration(text).map(Self::Time),
            Kind::TimeOrOff => time_or(text, "off"),
            Kind::Life => time_or(text, "forever"),
            Kind::Size => quantity::size(text, true).map(Self::Size),
            Kind::SizeOrOff => {
                quantity::size(text, true).map(Self::Size).map_err(|fault| or(fault, "off"))
            }
            Kind::Capacity => quantity::capacity(text).map(Self::Capacity),
            Kind::Path if text.is_empty() => Err(Fault::new("is empty", "write a path")),
            Kind::Path => Ok(Self::Path(PathBuf::from(text))),
            Kind::Choice(words) => read_choice(words, text),
            Kind::Free => free_text(name, text),
        }
    }
}

fn time_or(text: &str, word: &str) -> Result<Typed, Fault> {
    quantity::duration(text).map(Typed::Time).map_err(|fault| or(fault, word))
}

/// The same fault, of a value for which `word` may stand.
fn or(fault: Fault, word: &str) -> Fault {
    Fault { fix: format!("{}, or {word:?}", fault.fix), ..fault }
}

fn read_name(text: &str) -> Result<Typed, Fault> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(is_name) {
        return Err(Fault::new(
            format!("{text:?} is not a name"),
            format!("write 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`"),
        ));
    }
    Ok(Typed::Name(text.to_owned()))
}

fn read_choice(words: &[&'static str], text: &str) -> Result<Typed, Fault> {
    let chosen = words.iter().find(|word| **word == text);
    chosen.map(|word| Typed::Name((*word).to_owned())).ok_or_else(|| {
        Fault::new(format!("{text:?} is no choice"), format!("write one of {}", words.join(", ")))
    })
}

fn free_text(name: &str, text: &str) -> Result<Typed, Fault> {
    let value = match SecretRef::parse(text) {
        Some(secret) => OptionValue::Secret(secret),
        None if is_secret_name(name) || has_password(text) => return Err(secret_in_clear()),
        None => OptionValue::Text(text.to_owned()),
    };
    Ok(Typed::Free(value))
}

fn free_list(name: &str, items: &[String]) -> Result<Typed, Fault> {
    if is_secret_name(name) || items.iter().any(|item| has_password(item)) {
        return Err(secret_in_clear());
    }
    Ok(Typed::Free(OptionValue::List(items.to_vec())))
}

fn secret_in_clear() -> Fault {
    Fault::new(
        "holds a secret in clear",
        "keep it in an environment variable or a file and write \"env:NAME\" or \"file:PATH\" here",
    )
}

impl fmt::Display for Typed {
    /// The value as it would be written, with secrets redacted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Flag(flag) => flag.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Time(time) => f.write_str(&quantity::print_duration(*time)),
            Self::Off => f.write_str("off"),
            Self::Forever => f.write_str("forever"),
            Self::Size(bytes) => f.write_str(&quantity::print_size(*bytes)),
            Self::Capacity(capacity) => f.write_str(&quantity::print_capacity(*capacity)),
            Self::Path(path) => path.display().fmt(f),
            Self::Free(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, name: &str, text: &str) -> Result<Typed, Fault> {
        Typed::read(kind, name, &Raw::Text(text.to_owned()))
    }

    #[test]
    fn secrets_in_clear_are_refused_without_being_shown() {
        for (name, text) in [
            ("password", "hunter2"),
            ("url", "redis://user:hunter2@host:6379/0"),
            ("api_key", "hunter2"),
        ] {
            let fault = read(Kind::Free, name, text).expect_err("it is a secret");
            assert!(!format!("{fault:?}").contains("hunter2"));
        }
        let list = Raw::List(vec!["redis://:hunter2@a".to_owned()]);
        let fault = Typed::read(Kind::Free, "servers", &list).expect_err("it is a secret");
        assert!(!format!("{fault:?}").contains("hunter2"));
        let kept = read(Kind::Free, "password", "env:PW").expect("a reference");
        assert_eq!(kept.to_string(), "*** (env:PW)");
    }

    #[test]
    fn times_can_be_off_and_lives_for_ever_and_nothing_else() {
        assert_eq!(read(Kind::TimeOrOff, "idle", "off"), Ok(Typed::Off));
        assert_eq!(read(Kind::SizeOrOff, "push_max", "off"), Ok(Typed::Off));
        assert_eq!(read(Kind::SizeOrOff, "push_max", "2KiB"), Ok(Typed::Size(2_048)));
        assert_eq!(read(Kind::Life, "ttl", "forever"), Ok(Typed::Forever));
        let fault = read(Kind::Time, "read", "off").expect_err("a timeout is never off");
        assert!(!fault.fix.contains("off"));
        let fault = read(Kind::Life, "ttl", "0").expect_err("zero is no life");
        assert!(fault.fix.ends_with("or \"forever\""));
    }

    #[test]
    fn names_keep_to_their_alphabet() {
        assert_eq!(read(Kind::Name, "name", " shop-1 "), Ok(Typed::Name("shop-1".to_owned())));
        for text in ["", "two words", "sch\u{f6}n", &"x".repeat(129)] {
            assert!(read(Kind::Name, "name", text).is_err(), "{text}");
        }
        assert!(Typed::read(Kind::Name, "name", &Raw::List(Vec::new())).is_err());
    }
}
