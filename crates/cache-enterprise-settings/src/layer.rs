//! One source of settings, as figment merges it: its values under canonical paths.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use crate::origin::Origin;
use crate::value::Typed;

/// A value as it was written, before anybody knows what its key wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    List(Vec<String>),
    /// A table without keys, or a null: says that something is there and nothing about it.
    Nothing,
}

/// A value with the path under which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// A value under its canonical path.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) raw: Raw,
    /// What it means; `None` for a table without keys, and for a value that was a problem.
    pub(crate) typed: Option<Typed>,
    /// The path as it was written.
    pub(crate) written: String,
    pub(crate) origin: Origin,
}

/// One source: the defaults, a file, the environment, the program.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its number in the order of merging; the higher wins.
    pub(crate) number: usize,
    pub(crate) values: BTreeMap<String, Placed>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        // The number leads back from a merged value to its layer, and so to its place.
        Metadata::from("layer", figment::Source::Custom(self.number.to_string()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut root = Dict::new();
        for (path, placed) in &self.values {
            let value = match &placed.raw {
                Raw::Text(text) => Value::from(text.as_str()),
                Raw::List(items) => Value::from(items.clone()),
                Raw::Nothing => Value::from(Dict::new()),
            };
            insert(&mut root, path, value);
        }
        Ok(Profile::Default.collect(root))
    }
}

/// Puts `value` under a dotted path. Canonical paths never lead through a value.
fn insert(table: &mut Dict, path: &str, value: Value) {
    let Some((head, rest)) = path.split_once('.') else {
        table.entry(path.to_owned()).or_insert(value);
        return;
    };
    let child = table.entry(head.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, child) = child {
        insert(child, rest, value);
    }
}
