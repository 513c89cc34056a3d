//! TOML with the place of every key.

use ::toml::de::{DeArray, DeTable, DeValue};

use super::{mixed_list, syntax_problem};
use crate::layer::{Leaf, Raw};
use crate::origin::{Origin, line_and_column};
use crate::problem::Problem;

pub(super) fn leaves(name: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Leaf> {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    // The parser tells lexical trouble first; people correct a file from top to bottom.
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    for error in errors {
        let place = error.span().map(|span| line_and_column(text, span.start));
        problems.push(syntax_problem(name, place, error.message().to_owned()));
    }
    let mut walk = Walk { name, text, leaves: Vec::new(), problems };
    walk.table(document.get_ref(), &mut Vec::new());
    walk.leaves
}

struct Walk<'a> {
    name: &'a str,
    text: &'a str,
    leaves: Vec<Leaf>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let place = Some(line_and_column(self.text, key.span().start));
            let origin = Origin::File { name: self.name.to_owned(), place };
            self.value(value.get_ref(), path, origin);
            path.pop();
        }
    }

    fn value(&mut self, value: &DeValue<'_>, path: &mut Vec<String>, origin: Origin) {
        let raw = match value {
            DeValue::Table(table) if !table.is_empty() => return self.table(table, path),
            DeValue::Array(array) if holds_tables(array) => {
                return self.tables(array, path, origin);
            }
            DeValue::Table(_) => Raw::Nothing,
            DeValue::Array(array) => {
                match array.iter().map(|item| scalar(item.get_ref())).collect() {
                    Some(items) => Raw::List(items),
                    None => return self.problems.push(mixed_list(path, origin)),
                }
            }
            single => Raw::Text(scalar(single).unwrap_or_default()),
        };
        self.leaves.push(Leaf { path: path.clone(), raw, origin });
    }

    /// A list of tables: each becomes a table under its number.
    fn tables(&mut self, array: &DeArray<'_>, path: &mut Vec<String>, origin: Origin) {
        for (number, item) in array.iter().enumerate() {
            path.push(number.to_string());
            match item.get_ref() {
                table @ DeValue::Table(_) => self.value(table, path, origin.clone()),
                _ => self.problems.push(mixed_list(path, origin.clone())),
            }
            path.pop();
        }
    }
}

fn holds_tables(array: &DeArray<'_>) -> bool {
    array.iter().any(|item| item.get_ref().is_table())
}

/// A single value as text; lists and tables are none.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            // A number in another base is shown in ours; one too large for us stays as written.
            let in_ours = i128::from_str_radix(digits, number.radix());
            Some(in_ours.map_or_else(|_| digits.to_owned(), |number| number.to_string()))
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(date) => Some(date.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place_and_every_slip_is_told() {
        let text = "name = \"a\"\n[[levels]]\nkind = \"memory\"\n[[levels]]\noptions = { s = [1, 0x10] }\n\
                    [x]\n";
        let mut problems = Vec::new();
        let leaves = leaves("f", text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let told: Vec<_> = leaves
            .iter()
            .map(|leaf| format!("{} {:?} {}", leaf.path.join("."), leaf.raw, leaf.origin))
            .collect();
        assert_eq!(
            told,
            [
                "levels.0.kind Text(\"memory\") f:3:1",
                "levels.1.options.s List([\"1\", \"16\"]) f:5:13",
                "name Text(\"a\") f:1:1",
                "x Nothing f:6:2",
            ]
        );
    }

    #[test]
    fn all_syntax_errors_come_at_once_with_what_could_be_read() {
        let mut problems = Vec::new();
        let leaves = leaves("f", "a = \nb = 1\nc = = 2\n", &mut problems);
        let places: Vec<_> = problems.iter().map(|problem| problem.origin.to_string()).collect();
        assert!(places.len() >= 2 && places[0].starts_with("f:1:"), "{problems:?}");
        assert!(leaves.iter().any(|leaf| leaf.path == ["b"]));
    }

    #[test]
    fn a_list_of_different_things_is_a_problem() {
        let mut problems = Vec::new();
        leaves("f", "levels = [1, { kind = \"disk\" }]\na = [[1], 2]\n", &mut problems);
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["a", "levels.0"]);
    }
}
