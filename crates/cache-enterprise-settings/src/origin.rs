//! Where a setting was written.

use std::fmt;

/// Where a setting was written.
///
/// ```
/// use cache_enterprise_settings::Origin;
///
/// let origin = Origin::File { name: "cache.toml".into(), place: Some((3, 7)) };
/// assert_eq!(origin.to_string(), "cache.toml:3:7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a file, or in a text given for one.
    File {
        /// The file as it was named.
        name: String,
        /// Line and column, from 1, where the format tells them (TOML does).
        place: Option<(usize, usize)>,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// In the program, by `SettingsBuilder::set`.
    Code,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, place: None } => f.write_str(name),
            Self::File { name, place: Some((line, column)) } => write!(f, "{name}:{line}:{column}"),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Code => f.write_str("code"),
        }
    }
}

/// Line and column, from 1, of a byte of `text`; columns count characters.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_by_characters() {
        let text = "a = 1\nö = 2\n\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 6), (2, 1));
        assert_eq!(line_and_column(text, text.find('2').expect("it is there")), (2, 5));
        assert_eq!(line_and_column(text, 999), (4, 1));
    }
}
