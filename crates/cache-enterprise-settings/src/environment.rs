//! Settings from environment variables: `CE_TIMEOUTS__READ` is `timeouts.read`.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::keys::Kind;
use crate::layer::{Leaf, Raw};
use crate::meaning::{Meaning, meaning};
use crate::origin::Origin;
use crate::problem::Problem;
use crate::secret::{SecretRef, has_password, is_secret_name};

/// What stands for the dot of a path.
const SEPARATOR: &str = "__";

/// Variables with our prefix that are not settings: the seed of the workspace's tests.
const NO_SETTINGS: [&str; 1] = ["seed"];

/// Reads every variable that begins with `prefix`.
///
/// A secret in a variable is already where it belongs: its leaf is a reference to the variable,
/// and the value goes no further.
pub(crate) fn leaves(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(path) = name.strip_prefix(prefix) else { continue };
        let path = path.to_ascii_lowercase();
        if path.is_empty() || NO_SETTINGS.contains(&path.as_str()) {
            continue;
        }
        let path: Vec<_> = path.split(SEPARATOR).map(str::to_owned).collect();
        let origin = Origin::Environment(name.to_owned());
        let text = if is_secret(&path, &value) {
            format!("env:{name}")
        } else if let Some(text) = value.to_str() {
            text.to_owned()
        } else {
            let what = "is not valid Unicode";
            problems.push(Problem::new(path.join("."), origin, what, "write it in UTF-8"));
            continue;
        };
        leaves.push(Leaf { path, raw: Raw::Text(text), origin });
    }
    // The order of the environment is nobody's choice; problems and layers come out the same.
    leaves.sort_by(|a, b| a.path.cmp(&b.path));
    leaves
}

/// The variables that these leaves name as the place of a secret, but for themselves. Such a
/// variable is no setting, unless its name is that of a key.
pub(crate) fn secrets(leaves: &[Leaf]) -> BTreeSet<String> {
    let named = |leaf: &Leaf| {
        let Raw::Text(text) = &leaf.raw else { return None };
        let name = SecretRef::parse(text.trim())?.variable()?.to_owned();
        (leaf.origin != Origin::Environment(name.clone())).then_some(name)
    };
    leaves.iter().filter_map(named).collect()
}

/// Whether a path is that of a key.
pub(crate) fn is_key(path: &[String]) -> bool {
    let parts: Vec<_> = path.iter().map(String::as_str).collect();
    matches!(meaning(&parts), Meaning::Key(..))
}

/// Whether the value is a secret itself, not a reference to one.
fn is_secret(path: &[String], value: &OsString) -> bool {
    let parts: Vec<_> = path.iter().map(String::as_str).collect();
    let is_free = matches!(meaning(&parts), Meaning::Key(key, _) if key.kind == Kind::Free);
    let text = value.to_string_lossy();
    let name = parts.last().copied().unwrap_or_default();
    is_free && SecretRef::parse(&text).is_none() && (is_secret_name(name) || has_password(&text))
}
