//! The file of the rules: each has a name and who finds its loss.

use toml::Table;

use crate::failure::{Failure, Outcome};

pub(crate) const RULES: &str = "crates/cache-enterprise-chaos/rules.toml";

/// One rule and who finds its loss.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) proof: Proof,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Seeds of the simulation, the first of which is enough as a rule.
    Seeds { first: u64, end: u64 },
    /// A test: its package, its target and its name.
    Test { package: String, target: String, name: String },
}

impl Proof {
    /// The test as the file spells it.
    pub(super) fn test(&self) -> Option<String> {
        match self {
            Self::Seeds { .. } => None,
            Self::Test { package, target, name } => Some(format!("{package} {target} {name}")),
        }
    }
}

/// The rules in the text of the file, in its order.
pub(crate) fn parse(text: &str) -> Outcome<Vec<Rule>> {
    let document: Table = text.parse().map_err(Failure::of(format!("reading `{RULES}`")))?;
    let entries = document.get("rule").and_then(|rules| rules.as_array());
    let entries = entries.ok_or_else(|| Failure::new(format!("`{RULES}`: write [[rule]]")))?;
    entries.iter().map(|entry| rule(entry.as_table())).collect()
}

fn rule(entry: Option<&Table>) -> Outcome<Rule> {
    let wrong = |why: &str| Failure::new(format!("`{RULES}`: {why}"));
    let entry = entry.ok_or_else(|| wrong("a rule is a table"))?;
    let text = |key: &str| entry.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let name = text("name").ok_or_else(|| wrong("a rule has a name"))?;
    let proof = match (entry.get("seeds"), text("test")) {
        (Some(seeds), None) => {
            let ends: Option<Vec<u64>> = seeds.as_array().and_then(|ends| {
                ends.iter().map(|end| end.as_integer()?.try_into().ok()).collect()
            });
            match ends.as_deref() {
                Some(&[first, end]) if first < end => Proof::Seeds { first, end },
                _ => return Err(wrong(&format!("`{name}`: write seeds = [FIRST, END]"))),
            }
        }
        (None, Some(test)) => match test.split_whitespace().collect::<Vec<_>>()[..] {
            [package, target, test] => Proof::Test {
                package: package.to_owned(),
                target: target.to_owned(),
                name: test.to_owned(),
            },
            _ => return Err(wrong(&format!("`{name}`: a test is PACKAGE TARGET NAME"))),
        },
        _ => return Err(wrong(&format!("`{name}` has seeds or a test"))),
    };
    Ok(Rule { name, proof })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_seeds_or_by_a_test() {
        let text = "[[rule]]\nname = \"a\"\nseeds = [3, 9]\n\n\
                    [[rule]]\nname = \"b\"\ntest = \"core lib some::test\"\n";
        let test = Proof::Test {
            package: "core".to_owned(),
            target: "lib".to_owned(),
            name: "some::test".to_owned(),
        };
        let expected = [
            Rule { name: "a".to_owned(), proof: Proof::Seeds { first: 3, end: 9 } },
            Rule { name: "b".to_owned(), proof: test },
        ];
        assert_eq!(parse(text).ok().as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_rule_that_nobody_finds_is_refused() {
        for text in [
            "[[rule]]\nname = \"a\"\n",
            "[[rule]]\nname = \"a\"\nseeds = [9, 3]\n",
            "[[rule]]\nname = \"a\"\nseeds = [1, 2]\ntest = \"a b c\"\n",
            "[[rule]]\nname = \"a\"\ntest = \"core lib\"\n",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
