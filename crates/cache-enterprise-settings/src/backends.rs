//! The map of named backends: which of them are levels, and which stand beside the levels.
//!
//! The order of a map says nothing, so that it gives at most two levels: the first, in memory, and
//! the default backend below it. Three levels and more are listed in `levels`; a level whose kind
//! is the name of a backend is that backend.

use crate::origin::Origin;
use crate::problem::Problem;
use crate::tree::Tree;
use crate::value::Typed;

/// Makes levels of the backends that are levels.
pub(crate) fn place(tree: &mut Tree, problems: &mut Vec<Problem>) {
    let names = tree.backends();
    let kinds: Vec<_> = tree.levels().into_iter().filter_map(|number| kind(tree, number)).collect();
    let is_listed = kinds.iter().any(|(number, kind)| *number > 0 || kind != "memory");
    for (number, kind) in &kinds {
        if names.contains(kind) && tree.level_of_name(kind).is_none() {
            tree.make_level(kind, *number, problems);
        }
    }
    if is_listed {
        problems.extend(check_default(tree, &kinds));
        return;
    }
    let default = default_of(tree);
    let (name, origin) = match (default, names.len()) {
        (Some((name, _)), _) if name == "memory" => return,
        (Some(default), _) => default,
        (None, 0) => return,
        (None, 1) => {
            let name = names.into_iter().next().expect("there is one");
            let origin = tree.backend_origin(&name);
            (name, origin)
        }
        (None, _) => {
            let names: Vec<_> = names.into_iter().collect();
            let origin = tree.backend_origin(&names[0]);
            let what =
                format!("there are {}, and nothing says which one is used", names.join(", "));
            let fix = "write `default_backend`, or list `levels` with their kinds";
            problems.push(Problem::new("backends", origin, what, fix));
            return;
        }
    };
    tree.make_level(&name, 1, problems);
    tree.complete("levels.1.kind".to_owned(), Typed::Name(name.clone()), origin.clone());
    tree.complete("default_backend".to_owned(), Typed::Name(name), origin);
}

/// The kind that somebody wrote for a level.
fn kind(tree: &Tree, number: usize) -> Option<(usize, String)> {
    match &tree.get(&format!("levels.{number}.kind"))?.typed {
        Typed::Name(kind) => Some((number, kind.clone())),
        _ => None,
    }
}

fn default_of(tree: &Tree) -> Option<(String, Origin)> {
    let setting = tree.get("default_backend")?;
    match &setting.typed {
        Typed::Name(name) => Some((name.clone(), setting.origin.clone())),
        _ => None,
    }
}

/// With levels that are listed, the default backend is one of them.
fn check_default(tree: &Tree, kinds: &[(usize, String)]) -> Option<Problem> {
    let (name, origin) = default_of(tree)?;
    if name == "memory" || kinds.iter().any(|(_, kind)| *kind == name) {
        return None;
    }
    let what = format!("no level is the backend `{name}`");
    let fix = "name the backend of a level, or list it in `levels`";
    Some(Problem::new("default_backend", origin, what, fix))
}

/// The name of the walk over the levels: the default backend that somebody named, else the one
/// that became the second level by itself.
pub(crate) fn default_backend(tree: &Tree) -> Option<String> {
    default_of(tree).map(|(name, _)| name)
}
