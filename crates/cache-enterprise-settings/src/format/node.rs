//! YAML and JSON, read into one tree that refuses doubled keys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{mixed_list, syntax_problem};
use crate::layer::{Leaf, Raw};
use crate::origin::Origin;
use crate::problem::Problem;

pub(super) fn yaml_leaves(name: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Leaf> {
    match serde_yaml_ng::from_str::<Node>(text) {
        Ok(node) => node_leaves(name, node, problems),
        Err(error) => {
            let place = error.location().map(|place| (place.line(), place.column()));
            problems.push(syntax_problem(name, place, error.to_string()));
            Vec::new()
        }
    }
}

pub(super) fn json_leaves(name: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Leaf> {
    match serde_json::from_str::<Node>(text) {
        Ok(node) => node_leaves(name, node, problems),
        Err(error) => {
            let place = Some((error.line(), error.column()));
            problems.push(syntax_problem(name, place, error.to_string()));
            Vec::new()
        }
    }
}

/// A value of either format. Numbers are kept as text: what they mean is for their key to say.
#[derive(Debug)]
enum Node {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

fn node_leaves(name: &str, node: Node, problems: &mut Vec<Problem>) -> Vec<Leaf> {
    let origin = Origin::File { name: name.to_owned(), place: None };
    let mut walk = Walk { origin, leaves: Vec::new(), problems };
    match node {
        Node::Nothing => {}
        Node::Table(table) => walk.table(table, &mut Vec::new()),
        Node::Text(_) | Node::List(_) => {
            let what = "the whole is one value".to_owned();
            let problem = syntax_problem(name, None, what);
            walk.problems.push(Problem { fix: "write a table of keys".to_owned(), ..problem });
        }
    }
    walk.leaves
}

struct Walk<'a> {
    origin: Origin,
    leaves: Vec<Leaf>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: Vec<(String, Node)>, path: &mut Vec<String>) {
        for (key, node) in table {
            path.push(key);
            self.node(node, path);
            path.pop();
        }
    }

    fn node(&mut self, node: Node, path: &mut Vec<String>) {
        let raw = match node {
            Node::Table(table) if !table.is_empty() => return self.table(table, path),
            Node::List(list) if list.iter().any(|item| matches!(item, Node::Table(_))) => {
                return self.tables(list, path);
            }
            Node::Table(_) | Node::Nothing => Raw::Nothing,
            Node::Text(text) => Raw::Text(text),
            Node::List(list) => match list.into_iter().map(Node::into_text).collect() {
                Some(items) => Raw::List(items),
                None => return self.problems.push(mixed_list(path, self.origin.clone())),
            },
        };
        self.leaves.push(Leaf { path: path.clone(), raw, origin: self.origin.clone() });
    }

    /// A list of tables: each becomes a table under its number.
    fn tables(&mut self, list: Vec<Node>, path: &mut Vec<String>) {
        for (number, item) in list.into_iter().enumerate() {
            path.push(number.to_string());
            match item {
                table @ Node::Table(_) => self.node(table, path),
                _ => self.problems.push(mixed_list(path, self.origin.clone())),
            }
            path.pop();
        }
    }
}

impl Node {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::List(_) | Self::Table(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a table")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Text(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    // What no visit takes is quoted in the error, and it may be a secret.
    fn visit_i128<E>(self, number: i128) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table: Vec<(String, Node)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Node, Node>()? {
            let Some(key) = key.into_text() else {
                return Err(A::Error::custom("a key that is not a plain name"));
            };
            if table.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            table.push((key, value));
        }
        Ok(Node::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(leaves: &[Leaf]) -> Vec<String> {
        leaves.iter().map(|leaf| format!("{} {:?}", leaf.path.join("."), leaf.raw)).collect()
    }

    #[test]
    fn both_formats_are_read_alike() {
        let yaml = "name: shop\nlevels:\n  - kind: memory\n    ttl: 60\n  - options: {a: [1, x], b: true}\n\
                    none: ~\nratio: 0.2\n";
        let json = r#"{"name": "shop", "levels": [{"kind": "memory", "ttl": 60},
            {"options": {"a": [1, "x"], "b": true}}], "none": null, "ratio": 0.2}"#;
        let mut problems = Vec::new();
        let from_yaml = told(&yaml_leaves("f", yaml, &mut problems));
        let from_json = told(&json_leaves("f", json, &mut problems));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(from_yaml, from_json);
        assert_eq!(
            from_yaml,
            [
                "name Text(\"shop\")",
                "levels.0.kind Text(\"memory\")",
                "levels.0.ttl Text(\"60\")",
                "levels.1.options.a List([\"1\", \"x\"])",
                "levels.1.options.b Text(\"true\")",
                "none Nothing",
                "ratio Text(\"0.2\")",
            ]
        );
    }

    #[test]
    fn a_doubled_key_is_a_problem_with_its_place() {
        let mut problems = Vec::new();
        json_leaves("f.json", "{\"a\": 1,\n \"a\": 2}", &mut problems);
        yaml_leaves("f.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n", &mut problems);
        assert_eq!(problems.len(), 2);
        assert!(problems[0].what.contains("\"a\" stands twice"), "{problems:?}");
        assert!(problems[0].origin.to_string().starts_with("f.json:2:"));
        assert!(problems[1].what.contains("\"c\" stands twice"), "{problems:?}");
    }

    #[test]
    fn what_is_no_table_is_a_problem_and_nothing_is_no_settings() {
        let mut problems = Vec::new();
        assert!(yaml_leaves("f", "", &mut problems).is_empty());
        assert!(problems.is_empty());
        yaml_leaves("f", "just text", &mut problems);
        json_leaves("f", "[1]", &mut problems);
        json_leaves("f", "{", &mut problems);
        yaml_leaves("f", "[a, {b: 1}]: 2", &mut problems);
        assert_eq!(problems.len(), 4, "{problems:?}");
    }
}
