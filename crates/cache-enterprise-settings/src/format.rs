//! The formats of settings files, each read into leaves with their places.

mod node;
mod toml;

use std::path::Path;

use crate::layer::Leaf;
use crate::origin::Origin;
use crate::problem::Problem;

/// A format of settings files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML. Problems tell line and column.
    Toml,
    /// YAML. Problems tell the file; of a syntax error also line and column.
    Yaml,
    /// JSON. Problems tell the file; of a syntax error also line and column.
    Json,
}

impl Format {
    /// The format of a file by the end of its name: `toml`, `yaml`, `yml` or `json`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Reads `text`, which came from the file `name`. What cannot be read is a problem; what can
    /// be is there beside it.
    pub(crate) fn leaves(self, name: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Leaf> {
        match self {
            Self::Toml => toml::leaves(name, text, problems),
            Self::Yaml => node::yaml_leaves(name, text, problems),
            Self::Json => node::json_leaves(name, text, problems),
        }
    }
}

/// A source that does not follow its format. The parser's message names the trouble and never
/// quotes the line, which may hold a secret.
fn syntax_problem(name: &str, place: Option<(usize, usize)>, what: String) -> Problem {
    let origin = Origin::File { name: name.to_owned(), place };
    Problem::new("", origin, what, "correct the syntax at this place")
}

/// A list that mixes texts with tables, or lists with lists.
fn mixed_list(path: &[String], origin: Origin) -> Problem {
    Problem::new(
        path.join("."),
        origin,
        "is a list of different things",
        "write a list of plain values, or one table for each entry",
    )
}
