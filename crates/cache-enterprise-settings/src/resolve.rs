//! From what was written to canonical paths: aliases, unknown keys, contradictions.

use std::collections::BTreeMap;

use crate::keys::{KEYS, Key};
use crate::layer::{Layer, Leaf, Placed, Raw};
use crate::meaning::{Later, Meaning, is_backend, meaning, nearest};
use crate::origin::Origin;
use crate::problem::Problem;
use crate::value::Typed;

/// Level 1 and as many tiers as a manager takes; a bound for what a slip in an index may cost.
pub(crate) const LEVELS_MAX: usize = 9;

/// The bottom layer: what the table of keys says when nobody else does.
pub(crate) fn defaults(problems: &mut Vec<Problem>) -> Layer {
    let fixed = KEYS.iter().filter(|key| !key.default.is_empty() && !key.path.contains('*'));
    let leaves = fixed.map(|key| Leaf {
        path: key.path.split('.').map(str::to_owned).collect(),
        raw: Raw::Text(key.default.to_owned()),
        origin: Origin::Default,
    });
    layer(0, leaves, problems)
}

/// Puts the leaves of one source under their canonical paths. What cannot stand there is a
/// problem and left out.
pub(crate) fn layer(
    number: usize,
    leaves: impl IntoIterator<Item = Leaf>,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut values = BTreeMap::new();
    for leaf in leaves {
        let path: Vec<_> = leaf.path.iter().map(|part| part.to_ascii_lowercase()).collect();
        let parts: Vec<_> = path.iter().map(String::as_str).collect();
        let problem = match meaning(&parts) {
            Meaning::Key(key, canonical) => place(&mut values, key, canonical, leaf).err(),
            Meaning::Table(path) => place_table(&mut values, path, leaf).err(),
            Meaning::Later(later) => Some(not_yet(later, leaf)),
            Meaning::Unknown => Some(unknown(&parts, leaf)),
        };
        problems.extend(problem);
    }
    Layer { number, values }
}

/// Puts a value under its key, unless another spelling of the key says something else. A value
/// that its key cannot mean keeps the place without a meaning, so that nothing is said to be
/// missing there.
fn place(
    values: &mut BTreeMap<String, Placed>,
    key: &Key,
    canonical: String,
    leaf: Leaf,
) -> Result<(), Problem> {
    check_level(&canonical, &leaf)?;
    if leaf.raw == Raw::Nothing {
        return Ok(());
    }
    let written = leaf.path.join(".");
    let name = canonical.rsplit('.').next().unwrap_or_default();
    let (typed, fault) = match Typed::read(key.kind, name, &leaf.raw) {
        Ok(Typed::Name(backend)) if names_backend(&canonical) => {
            (Some(Typed::Name(backend.to_ascii_lowercase())), None)
        }
        Ok(typed) => (Some(typed), None),
        Err(fault) => (None, Some(Problem::of(&written, leaf.origin.clone(), fault))),
    };
    if let (Some(other), None) = (values.get(&canonical), &fault) {
        if other.typed.is_none() || other.typed == typed {
            return Ok(());
        }
        let what = format!("contradicts `{}` ({})", other.written, other.origin);
        return Err(Problem::new(written, leaf.origin, what, "keep one of the two"));
    }
    // What is a problem may be a secret in clear: it goes no further.
    let raw = if fault.is_none() { leaf.raw } else { Raw::Text(String::new()) };
    values.entry(canonical).or_insert(Placed { raw, typed, written, origin: leaf.origin });
    fault.map_or(Ok(()), Err)
}

/// Whether the value of a key is the name of a backend or of a bus. In a path such a name is in lower
/// case, as every part of a path, so it is as a value.
fn names_backend(path: &str) -> bool {
    let is_of_map = path.starts_with("levels.") || path.starts_with("backends.");
    ["default_backend", "bus.kind"].contains(&path) || is_of_map && path.ends_with(".kind")
}

/// Notes a level or a backend without keys; refuses a value where a table belongs.
fn place_table(
    values: &mut BTreeMap<String, Placed>,
    path: String,
    leaf: Leaf,
) -> Result<(), Problem> {
    check_level(&path, &leaf)?;
    let is_empty = match &leaf.raw {
        Raw::Nothing => true,
        Raw::List(items) => items.is_empty(),
        Raw::Text(_) => false,
    };
    let written = leaf.path.join(".");
    if !is_empty {
        let what = "is a table, not a value";
        let fix = format!("write its keys under [{path}]");
        return Err(Problem::new(written, leaf.origin, what, fix));
    }
    let is_noted = match path.split_once('.') {
        Some(("levels", number)) => !number.contains('.'),
        Some(("backends", name)) => !name.contains('.') && is_backend(name),
        _ => false,
    };
    if is_noted {
        let placed = Placed { raw: Raw::Nothing, typed: None, written, origin: leaf.origin };
        values.entry(path).or_insert(placed);
    }
    Ok(())
}

fn check_level(path: &str, leaf: &Leaf) -> Result<(), Problem> {
    let number = path.strip_prefix("levels.").and_then(|rest| rest.split('.').next());
    let Some(number) = number else { return Ok(()) };
    // A number that is written in two ways would be two levels.
    let is_plain = number == "0" || !number.starts_with('0');
    if is_plain && number.parse::<usize>().is_ok_and(|number| number < LEVELS_MAX) {
        return Ok(());
    }
    let what = format!("{number} is not the number of a level");
    let fix = format!("count levels from 0; at most {LEVELS_MAX} can be stacked");
    Err(Problem::new(leaf.path.join("."), leaf.origin.clone(), what, fix))
}

fn not_yet(later: &Later, leaf: Leaf) -> Problem {
    let part = later.part;
    let what = format!("belongs to `cache-enterprise-{part}`, which has no settings here yet");
    let fix = format!("remove it, and set up the feature `{part}` in code where you have it");
    Problem::new(leaf.path.join("."), leaf.origin, what, fix)
}

fn unknown(parts: &[&str], leaf: Leaf) -> Problem {
    if let ["levels", _, "compression", ..] = parts {
        let what = "is not a key: a level names its compressor and nothing else";
        let fix = "write the name alone, and `compression.threshold` for all levels";
        return Problem::new(leaf.path.join("."), leaf.origin, what, fix);
    }
    let fix = match nearest(parts) {
        Some(key) => format!("did you mean `{key}`?"),
        None => "remove it; KEYS.md of cache-enterprise-settings lists every key".to_owned(),
    };
    Problem::new(leaf.path.join("."), leaf.origin, "is not a key", fix)
}
