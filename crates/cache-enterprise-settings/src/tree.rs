//! The merged settings under canonical paths, each with its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use figment::Figment;
use figment::value::Value;

use crate::layer::{Layer, Placed};
use crate::origin::Origin;
use crate::problem::Problem;
use crate::value::Typed;

/// A setting in force.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) typed: Typed,
    /// The path as it was written, for problems.
    pub(crate) written: String,
    pub(crate) origin: Origin,
    /// The number of its layer: of two spellings of one key the higher wins.
    layer: usize,
}

impl Setting {
    pub(crate) fn is_default(&self) -> bool {
        self.origin == Origin::Default
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    settings: BTreeMap<String, Setting>,
    /// Levels that somebody mentioned, each with where its table stands.
    levels: BTreeMap<usize, Origin>,
    /// Named backends that became levels.
    names: BTreeMap<usize, String>,
    /// Keys whose value is a problem already, so that what follows from them is not told.
    faulty: BTreeSet<String>,
}

impl Tree {
    /// Merges the layers, the later over the earlier.
    pub(crate) fn merge(layers: &[Layer]) -> Self {
        let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
        let mut tree = Self::default();
        // Layers hold valid tables only, so that there is nothing figment could refuse.
        if let Ok(root) = figment.find_value("") {
            tree.collect(&figment, layers, &root, String::new());
        }
        tree
    }

    /// Takes the winners out of figment's tree: each value's tag leads to its layer.
    fn collect(&mut self, figment: &Figment, layers: &[Layer], value: &Value, path: String) {
        if let Some(table) = value.as_dict() {
            for (name, child) in table {
                let dot = if path.is_empty() { "" } else { "." };
                self.collect(figment, layers, child, format!("{path}{dot}{name}"));
            }
        }
        let metadata = figment.get_metadata(value.tag());
        let number = metadata.and_then(|from| from.source.as_ref()?.custom()?.parse().ok());
        let layer = number.and_then(|number: usize| layers.iter().find(|l| l.number == number));
        let found = layer.and_then(|layer| Some((layer.number, layer.values.get(&path)?)));
        if let Some((layer, placed)) = found {
            self.take(path, placed, layer);
        }
    }

    fn take(&mut self, path: String, placed: &Placed, layer: usize) {
        if let Some(level) = level_of(&path) {
            self.levels.entry(level).or_insert_with(|| placed.origin.clone());
        }
        match placed.typed.clone() {
            Some(typed) => {
                let (written, origin) = (placed.written.clone(), placed.origin.clone());
                self.settings.insert(path, Setting { typed, written, origin, layer });
            }
            None => {
                self.faulty.insert(path);
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Setting> {
        self.settings.get(path)
    }

    /// Whether the value of a key is a problem already.
    pub(crate) fn is_faulty(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    /// Whether a value under a path that ends with a dot is a problem already.
    pub(crate) fn is_faulty_under(&self, prefix: &str) -> bool {
        self.faulty.iter().any(|path| path.starts_with(prefix))
    }

    /// Every setting, in the order of paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(path, setting)| (path.as_str(), setting))
    }

    /// Adds a default or a derived setting, unless somebody set it.
    pub(crate) fn complete(&mut self, path: String, typed: Typed, origin: Origin) {
        let written = path.clone();
        self.settings.entry(path).or_insert(Setting { typed, written, origin, layer: 0 });
    }

    /// Gives a key the value of another, and its origin.
    pub(crate) fn follow(&mut self, path: &str, other: &Setting) {
        let setting = Setting { written: path.to_owned(), ..other.clone() };
        self.settings.insert(path.to_owned(), setting);
    }

    /// Levels that somebody mentioned.
    pub(crate) fn levels(&self) -> BTreeSet<usize> {
        self.levels.keys().copied().collect()
    }

    /// The backends that somebody named, in alphabetical order.
    pub(crate) fn backends(&self) -> BTreeSet<String> {
        let paths = self.settings.keys().chain(&self.faulty);
        paths.filter_map(|path| backend_of(path)).map(str::to_owned).collect()
    }

    /// Where a named backend was mentioned first; the default when nobody did.
    pub(crate) fn backend_origin(&self, name: &str) -> Origin {
        let mut settings = self.settings.iter();
        let first = settings.find(|(path, _)| backend_of(path) == Some(name));
        first.map_or(Origin::Default, |(_, setting)| setting.origin.clone())
    }

    /// Makes the named backend a level. What both say of a key, the later source says; in one source
    /// it is a problem. The kind of the level is the name of the backend, for which its kind stands.
    pub(crate) fn make_level(&mut self, name: &str, number: usize, problems: &mut Vec<Problem>) {
        let prefix = format!("backends.{name}.");
        let origin = self.backend_origin(name);
        let settings = std::mem::take(&mut self.settings);
        let (moved, kept) = settings.into_iter().partition(|(path, _)| path.starts_with(&prefix));
        self.settings = kept;
        let moved: BTreeMap<String, Setting> = moved;
        for (path, setting) in moved {
            let field = &path[prefix.len()..];
            let options = if matches!(setting.typed, Typed::Free(_)) { "options." } else { "" };
            let path = format!("levels.{number}.{options}{field}");
            match self.settings.get(&path).filter(|_| field != "kind") {
                Some(own) if own.layer > setting.layer => {}
                Some(own) if own.layer == setting.layer => {
                    problems.extend(contradiction(&setting, own));
                }
                _ => drop(self.settings.insert(path, setting)),
            }
        }
        let (faulty, kept): (BTreeSet<_>, _) = std::mem::take(&mut self.faulty)
            .into_iter()
            .partition(|path| backend_of(path) == Some(name));
        self.faulty = kept;
        let fields = faulty.iter().filter_map(|path| path.strip_prefix(&prefix));
        self.faulty.extend(fields.map(|field| format!("levels.{number}.{field}")));
        self.levels.entry(number).or_insert(origin);
        self.names.insert(number, name.to_owned());
    }

    /// The level that a named backend is.
    pub(crate) fn level_of_name(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
    }

    /// The named backend that a level is.
    pub(crate) fn name_of_level(&self, number: usize) -> Option<&String> {
        self.names.get(&number)
    }

    /// Where a level was mentioned first; the default when nobody did.
    pub(crate) fn level_origin(&self, level: usize) -> Origin {
        self.levels.get(&level).cloned().unwrap_or(Origin::Default)
    }
}

/// Reading what the table of keys gives a default of that kind: it is always there.
impl Tree {
    pub(crate) fn name(&self, path: &str) -> String {
        self.read(path, |typed| match typed {
            Typed::Name(name) => Some(name.clone()),
            _ => None,
        })
    }

    /// A name that nobody need have written.
    pub(crate) fn optional_name(&self, path: &str) -> Option<String> {
        match &self.get(path)?.typed {
            Typed::Name(name) => Some(name.clone()),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        self.read(path, |typed| match typed {
            Typed::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(crate) fn count(&self, path: &str) -> u32 {
        self.read(path, |typed| match typed {
            Typed::Count(count) => Some(*count),
            _ => None,
        })
    }

    pub(crate) fn share(&self, path: &str) -> f64 {
        self.read(path, |typed| match typed {
            Typed::Share(share) => Some(*share),
            _ => None,
        })
    }

    pub(crate) fn size(&self, path: &str) -> u64 {
        self.read(path, |typed| match typed {
            Typed::Size(bytes) => Some(*bytes),
            _ => None,
        })
    }

    pub(crate) fn size_or_off(&self, path: &str) -> Option<u64> {
        self.read(path, |typed| match typed {
            Typed::Size(bytes) => Some(Some(*bytes)),
            Typed::Off => Some(None),
            _ => None,
        })
    }

    pub(crate) fn time(&self, path: &str) -> Duration {
        self.read(path, |typed| match typed {
            Typed::Time(time) => Some(*time),
            _ => None,
        })
    }

    pub(crate) fn time_or_off(&self, path: &str) -> Option<Duration> {
        self.read(path, |typed| match typed {
            Typed::Time(time) => Some(Some(*time)),
            Typed::Off => Some(None),
            _ => None,
        })
    }

    fn read<T>(&self, path: &str, as_kind: impl FnOnce(&Typed) -> Option<T>) -> T {
        self.get(path)
            .and_then(|setting| as_kind(&setting.typed))
            .expect("the table gives this key a default of this kind, as a test checks")
    }
}

/// What is wrong with two spellings of one key in one source, unless they say the same.
fn contradiction(setting: &Setting, other: &Setting) -> Option<Problem> {
    if setting.typed == other.typed {
        return None;
    }
    let what = format!("contradicts `{}` ({})", other.written, other.origin);
    Some(Problem::new(&setting.written, setting.origin.clone(), what, "keep one of the two"))
}

/// The name of the backend that a path belongs to.
fn backend_of(path: &str) -> Option<&str> {
    path.strip_prefix("backends.")?.split('.').next()
}

/// The number of the level that a path belongs to.
pub(crate) fn level_of(path: &str) -> Option<usize> {
    path.strip_prefix("levels.")?.split('.').next()?.parse().ok()
}
