//! What the tasks want to know of a `Cargo.toml`, each fact with the line it stands on.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::{Failure, Outcome};

/// Where a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// One entry of a dependency table.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// Name of the package, also where the manifest renames it.
    pub(crate) package: String,
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    /// Whether version and source come from the workspace.
    pub(crate) inherited: bool,
}

/// One entry of `[features]`.
#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Whether the line above is a comment.
    pub(crate) commented: bool,
}

/// One entry of `[[test]]`.
#[derive(Debug)]
pub(crate) struct TestTarget {
    pub(crate) name: String,
    pub(crate) line: usize,
    required_features: Vec<String>,
}

impl TestTarget {
    /// Whether it is built only with `feature`.
    pub(crate) fn requires(&self, feature: &str) -> bool {
        self.required_features.iter().any(|required| required == feature)
    }
}

/// The facts of one manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Path from the root of the repository.
    pub(crate) path: String,
    pub(crate) package: String,
    pub(crate) package_line: usize,
    /// The crate's own `workspace = true` fields of `[package]`, and `lints` if that is inherited.
    pub(crate) inherits: Vec<String>,
    /// Whether `[package]` has a description.
    pub(crate) described: bool,
    /// Whether it is a workspace of its own, which can inherit nothing from ours.
    pub(crate) own_workspace: bool,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: Vec<Feature>,
    /// The targets of tests that the manifest names.
    pub(crate) tests: Vec<TestTarget>,
}

impl Manifest {
    /// Reads the manifest `text` at `path`. `aliases` maps the names under which the workspace
    /// offers renamed packages to the packages' own names.
    pub(crate) fn parse(
        path: &str,
        text: &str,
        aliases: &BTreeMap<String, String>,
    ) -> Outcome<Self> {
        let document = parse(path, text)?;
        let (line, package) = entry(&document, "package", text)
            .and_then(|(line, value)| Some((line, value.as_table()?)))
            .ok_or_else(|| Failure::new(format!("`{path}` has no [package] table")))?;
        let name = package
            .get("name")
            .and_then(|name| name.get_ref().as_str())
            .ok_or_else(|| Failure::new(format!("`{path}` has no package name")))?;

        let mut inherits: Vec<String> = package
            .iter()
            .filter(|(_, value)| is_inherited(value.get_ref()))
            .map(|(key, _)| key.get_ref().to_string())
            .collect();
        if entry(&document, "lints", text).is_some_and(|(_, lints)| is_inherited(lints)) {
            inherits.push("lints".to_owned());
        }

        Ok(Manifest {
            path: path.to_owned(),
            package: name.to_owned(),
            package_line: line,
            inherits,
            described: package.contains_key("description"),
            own_workspace: document.contains_key("workspace"),
            dependencies: dependencies(&document, text, aliases),
            features: features(&document, text),
            tests: tests(&document, text),
        })
    }

    /// Whether the `[package]` field or table `name` comes from the workspace.
    pub(crate) fn is_inherited(&self, name: &str) -> bool {
        self.inherits.iter().any(|inherited| inherited == name)
    }
}

/// The renamed packages of the `[workspace.dependencies]` in the root manifest `text`.
pub(crate) fn aliases(text: &str) -> Outcome<BTreeMap<String, String>> {
    let document = parse("Cargo.toml", text)?;
    let renamed = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let package = value.get_ref().get("package")?.get_ref().as_str()?;
        Some((key.get_ref().to_string(), package.to_owned()))
    };
    Ok(shared_table(&document).into_iter().flatten().filter_map(renamed).collect())
}

/// Packages of the `[workspace.dependencies]` in the root manifest `text`, with their lines; none
/// where it cannot be read, which [`aliases`] tells.
pub(crate) fn shared(text: &str) -> Vec<(String, usize)> {
    let Ok(document) = parse("Cargo.toml", text) else { return Vec::new() };
    let package = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let renamed = value.get_ref().get("package").and_then(|name| name.get_ref().as_str());
        let name = renamed.map_or_else(|| key.get_ref().to_string(), str::to_owned);
        (name, line_of(text, key.span().start))
    };
    shared_table(&document).into_iter().flatten().map(package).collect()
}

/// Line of the byte `offset` in `text`, counted from one.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

fn parse<'t>(path: &str, text: &'t str) -> Outcome<DeTable<'t>> {
    DeTable::parse(text).map(Spanned::into_inner).map_err(Failure::of(format!("reading `{path}`")))
}

fn entry<'d, 't>(
    table: &'d DeTable<'t>,
    name: &str,
    text: &str,
) -> Option<(usize, &'d DeValue<'t>)> {
    let (key, value) = table.get_key_value(name)?;
    Some((line_of(text, key.span().start), value.get_ref()))
}

fn shared_table<'d, 't>(document: &'d DeTable<'t>) -> Option<&'d DeTable<'t>> {
    document.get("workspace")?.get_ref().get("dependencies")?.get_ref().as_table()
}

fn is_inherited(value: &DeValue<'_>) -> bool {
    value.get("workspace").and_then(|workspace| workspace.get_ref().as_bool()) == Some(true)
}

fn dependencies(
    document: &DeTable<'_>,
    text: &str,
    aliases: &BTreeMap<String, String>,
) -> Vec<Dependency> {
    let mut tables = vec![document];
    if let Some((_, targets)) = entry(document, "target", text) {
        let targets = targets.as_table().into_iter().flat_map(|table| table.values());
        tables.extend(targets.filter_map(|target| target.get_ref().as_table()));
    }

    let mut found = Vec::new();
    for table in tables {
        for (section, kind) in [
            ("dependencies", Kind::Normal),
            ("build-dependencies", Kind::Build),
            ("dev-dependencies", Kind::Dev),
        ] {
            let section = entry(table, section, text).and_then(|(_, value)| value.as_table());
            for (key, value) in section.into_iter().flatten() {
                let value = value.get_ref();
                let key_name = key.get_ref().to_string();
                let renamed = value.get("package").and_then(|package| package.get_ref().as_str());
                let package = match renamed {
                    Some(package) => package.to_owned(),
                    None => aliases.get(&key_name).cloned().unwrap_or(key_name),
                };
                let line = line_of(text, key.span().start);
                found.push(Dependency { package, kind, line, inherited: is_inherited(value) });
            }
        }
    }
    found
}

fn features(document: &DeTable<'_>, text: &str) -> Vec<Feature> {
    let lines: Vec<&str> = text.lines().collect();
    let table = entry(document, "features", text).and_then(|(_, value)| value.as_table());
    let feature = |key: &Spanned<std::borrow::Cow<'_, str>>| {
        let line = line_of(text, key.span().start);
        let above = line.checked_sub(2).and_then(|index| lines.get(index));
        Feature {
            name: key.get_ref().to_string(),
            line,
            commented: above.is_some_and(|above| above.trim_start().starts_with('#')),
        }
    };
    table.into_iter().flat_map(|table| table.keys()).map(feature).collect()
}

fn tests(document: &DeTable<'_>, text: &str) -> Vec<TestTarget> {
    let targets = entry(document, "test", text).and_then(|(_, value)| value.as_array());
    let target = |target: &Spanned<DeValue<'_>>| {
        let name = target.get_ref().get("name")?;
        let required = target.get_ref().get("required-features");
        let required = required.and_then(|value| value.get_ref().as_array());
        let texts = required.into_iter().flatten().filter_map(|value| value.get_ref().as_str());
        Some(TestTarget {
            name: name.get_ref().as_str()?.to_owned(),
            line: line_of(text, name.span().start),
            required_features: texts.map(str::to_owned).collect(),
        })
    };
    targets.into_iter().flatten().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "\
[package]
name = \"sample\"
version.workspace = true
edition = \"2024\"

[lints]
workspace = true

[features]
# What it does.
one = []
two = []

[dependencies]
bytes.workspace = true
short = { package = \"a-long-name\", version = \"1\" }
shared.workspace = true

[target.'cfg(unix)'.dev-dependencies]
libc = \"0.2\"

[[test]]
name = \"story\"
required-features = [\"one\"]
";

    #[test]
    fn facts_come_with_their_lines() {
        let aliases = aliases("[workspace.dependencies]\nshared = { package = \"real\" }").unwrap();
        let manifest = Manifest::parse("crates/sample/Cargo.toml", TEXT, &aliases).unwrap();

        assert_eq!((manifest.package.as_str(), manifest.package_line), ("sample", 1));
        assert!(manifest.is_inherited("version") && manifest.is_inherited("lints"));
        assert!(!manifest.is_inherited("edition"));
        assert!(!manifest.described && !manifest.own_workspace);

        let features: Vec<_> =
            manifest.features.iter().map(|f| (f.name.as_str(), f.line, f.commented)).collect();
        assert_eq!(features, [("one", 11, true), ("two", 12, false)]);

        let [story] = &manifest.tests[..] else { panic!("{:?}", manifest.tests) };
        assert_eq!((story.name.as_str(), story.line), ("story", 23));
        assert!(story.requires("one") && !story.requires("two"));

        let dependencies: Vec<_> = manifest
            .dependencies
            .iter()
            .map(|d| (d.package.as_str(), d.kind, d.line, d.inherited))
            .collect();
        assert_eq!(
            dependencies,
            [
                ("bytes", Kind::Normal, 15, true),
                ("real", Kind::Normal, 17, true),
                ("a-long-name", Kind::Normal, 16, false),
                ("libc", Kind::Dev, 20, false),
            ]
        );
    }

    #[test]
    fn a_manifest_without_a_package_is_an_error() {
        let failure = Manifest::parse("x/Cargo.toml", "[features]", &BTreeMap::new()).unwrap_err();
        assert_eq!(failure.to_string(), "`x/Cargo.toml` has no [package] table");
    }
}
