//! The packages of the dependency graph as `cargo metadata` tells them.

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, capture};

/// One package of the graph, ours or another's.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression of its manifest.
    pub(crate) license: Option<String>,
    /// The native library it claims to link.
    pub(crate) links: Option<String>,
    /// Names of what its build script uses.
    pub(crate) build_dependencies: Vec<String>,
}

/// Every package of the lock file, for all systems and all features. Fails when the lock file
/// does not fit the manifests, so that what is checked is what was committed.
pub(crate) fn packages(workspace: &Workspace) -> Outcome<Vec<Package>> {
    // Without all features, cargo leaves out what only a feature beside the default ones brings.
    let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features"];
    let mut command = workspace.cargo(&arguments);
    parse(&capture(&mut command)?)
}

fn parse(json: &str) -> Outcome<Vec<Package>> {
    let document: Value =
        serde_json::from_str(json).map_err(Failure::of("reading `cargo metadata`"))?;
    let packages = document["packages"]
        .as_array()
        .ok_or_else(|| Failure::new("`cargo metadata` lists no packages"))?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Outcome<Package> {
    let text = |field: &str| value[field].as_str().map(str::to_owned);
    let required =
        |field: &str| text(field).ok_or_else(|| Failure::new(format!("a package has no {field}")));
    let build_dependencies = value["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["kind"] == "build")
        .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
        .collect();
    Ok(Package {
        name: required("name")?,
        version: required("version")?,
        license: text("license"),
        links: text("links"),
        build_dependencies,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_build_dependencies_are_build_dependencies() {
        let json = r#"{"packages": [{
            "name": "z-sys", "version": "1.2.0", "license": "MIT", "links": "z",
            "dependencies": [{"name": "cc", "kind": "build"}, {"name": "libc", "kind": null}]
        }]}"#;
        let packages = parse(json).unwrap();
        assert_eq!(packages[0].build_dependencies, ["cc"]);
        assert_eq!(packages[0].links.as_deref(), Some("z"));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(parse("{}").is_err());
        assert!(parse(r#"{"packages": [{"name": "nameless version"}]}"#).is_err());
    }
}
