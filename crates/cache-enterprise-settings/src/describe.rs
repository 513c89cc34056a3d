//! The settings in force as a table.

use std::fmt;

use crate::keys::KEYS;
use crate::meaning::find;
use crate::origin::Origin;
use crate::tree::{Tree, level_of};

/// The settings in force and where each came from. Secrets are redacted. `Display` prints a
/// table.
///
/// ```
/// use cache_enterprise_settings::{Origin, Settings};
///
/// let settings = Settings::builder().set("codec", "json").build()?;
/// let codec = settings.describe().row("codec").expect("every key has a row");
/// assert_eq!((codec.value.as_str(), &codec.origin), ("json", &Origin::Code));
/// # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    rows: Vec<Row>,
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The canonical key.
    pub key: String,
    /// The value as it would be written; `unset` when there is none.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl Description {
    /// The rows, in the order of the table of keys; levels one by one.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a canonical key.
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key)
    }

    pub(crate) fn of(tree: &Tree) -> Self {
        let set = tree.iter().map(|(path, setting)| Row {
            key: path.to_owned(),
            value: setting.typed.to_string(),
            origin: setting.origin.clone(),
        });
        let unset = KEYS
            .iter()
            .filter(|key| !key.path.contains('*') && tree.get(key.path).is_none())
            .map(|key| Row {
                key: key.path.to_owned(),
                value: "unset".to_owned(),
                origin: Origin::Default,
            });
        let mut rows: Vec<_> = set.chain(unset).collect();
        rows.sort_by_cached_key(|row| place(&row.key));
        Self { rows }
    }
}

/// Where a key stands in the description: levels where the table begins them, level by level.
fn place(path: &str) -> (usize, usize, usize, String) {
    let index = |wanted: &str| KEYS.iter().position(|key| key.path == wanted);
    let row = find(path).and_then(|key| index(key.path)).unwrap_or(KEYS.len());
    match level_of(path) {
        Some(level) => (index("levels.*.kind").unwrap_or(0), level, row, path.to_owned()),
        None => (row, 0, 0, String::new()),
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&Row) -> &str| {
            self.rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
        };
        let (keys, values) = (width(|row| &row.key), width(|row| &row.value));
        self.rows.iter().try_for_each(|row| {
            writeln!(f, "{:keys$}  {:values$}  {}", row.key, row.value, row.origin)
        })
    }
}
