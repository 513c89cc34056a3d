//! `cargo xtask licences`: what every dependency is licensed under, and what may not come in.
//!
//! The rules stand in `deny.toml`, which cargo-deny reads too. This reads the part of it that
//! needs no network and no further tool, so that every machine checks the same.

mod expression;

use std::fs;
use std::process::Command;

use toml::{Table, Value};

use crate::failure::{Failure, Outcome};
use crate::manifest::Manifest;
use crate::metadata::{self, Package};
use crate::workspace::{Workspace, run as run_command};
use expression::Expression;

/// Checks every package of the lock file, then asks cargo-deny where it is installed.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let text = fs::read_to_string(workspace.root().join("deny.toml"))
        .map_err(Failure::of("reading `deny.toml`"))?;
    let rules = Rules::parse(&text)?;
    let packages = metadata::packages(workspace)?;
    let mut breaches = rules.check(&packages)?;
    breaches.extend(unseen(&workspace.manifests()?, &packages));
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        return Err(Failure::new("a dependency breaks a rule of deny.toml"));
    }
    println!("licences and bans: {} packages pass deny.toml", packages.len());
    advisories(workspace)
}

/// What a manifest names and nobody looked at: a dependency behind a feature that is turned off
/// would pass every rule.
fn unseen(manifests: &[Manifest], packages: &[Package]) -> Vec<String> {
    let is_seen = |name: &str| packages.iter().any(|package| package.name == name);
    // A workspace of its own has a lock file of its own.
    let members = manifests.iter().filter(|manifest| !manifest.own_workspace);
    members
        .flat_map(|manifest| {
            let hidden = manifest.dependencies.iter().filter(|d| !is_seen(&d.package));
            hidden.map(|d| format!("{} of {} was not looked at", d.package, manifest.path))
        })
        .collect()
}

/// What `deny.toml` says about licences and bans.
#[derive(Debug)]
struct Rules {
    allowed: Vec<String>,
    /// A package and the licences it alone may have.
    exceptions: Vec<(String, Vec<String>)>,
    bans: Vec<Ban>,
}

/// A package that may not come in, in versions from `from` upwards.
#[derive(Debug)]
struct Ban {
    name: String,
    from: [u64; 3],
    reason: String,
}

impl Rules {
    fn parse(text: &str) -> Outcome<Self> {
        let document: Table = text.parse().map_err(Failure::of("reading `deny.toml`"))?;
        let licenses = section(&document, "licenses")?;
        let exceptions = tables(licenses, "exceptions")?
            .map(|entry| Ok((string(entry, "crate")?.to_owned(), strings(entry, "allow")?)))
            .collect::<Outcome<_>>()?;
        let bans = tables(section(&document, "bans")?, "deny")?
            .map(|entry| Ban::parse(string(entry, "crate")?, string(entry, "reason")?))
            .collect::<Outcome<_>>()?;
        Ok(Rules { allowed: strings(licenses, "allow")?, exceptions, bans })
    }

    fn check(&self, packages: &[Package]) -> Outcome<Vec<String>> {
        let mut breaches = Vec::new();
        for package in packages {
            breaches.extend(self.licence_breach(package)?);
            for ban in &self.bans {
                if ban.covers(package)? {
                    let Package { name, version, .. } = package;
                    breaches.push(format!("{name} {version} is banned: {}", ban.reason));
                }
            }
        }
        for (name, _) in &self.exceptions {
            if !packages.iter().any(|package| package.name == *name) {
                breaches.push(format!("deny.toml excepts {name}, which nothing depends on"));
            }
        }
        Ok(breaches)
    }

    fn licence_breach(&self, package: &Package) -> Outcome<Option<String>> {
        let Package { name, version, license, .. } = package;
        let Some(license) = license else {
            return Ok(Some(format!("{name} {version} states no licence")));
        };
        let own = self.exceptions.iter().find(|(excepted, _)| excepted == name);
        let own = own.map(|(_, licences)| licences.as_slice()).unwrap_or_default();
        let is_allowed = |licence: &str| self.allowed.iter().chain(own).any(|a| a == licence);
        let is_met = Expression::parse(license)?.is_met(&is_allowed);
        Ok((!is_met).then(|| format!("{name} {version} is licensed under {license}")))
    }
}

impl Ban {
    /// Reads the two forms `name` and `name:>=version` of a package spec.
    fn parse(spec: &str, reason: &str) -> Outcome<Self> {
        let (name, from) = match spec.split_once(":>=") {
            Some((name, from)) => (name, numbers(from)?),
            None => (spec, [0; 3]),
        };
        if name.contains([':', '@']) {
            return Err(Failure::new(format!("deny.toml: write `{spec}` as `name:>=version`")));
        }
        Ok(Ban { name: name.to_owned(), from, reason: reason.to_owned() })
    }

    fn covers(&self, package: &Package) -> Outcome<bool> {
        Ok(package.name == self.name && numbers(&package.version)? >= self.from)
    }
}

/// Major, minor and patch of `version`; what is left out counts as zero.
fn numbers(version: &str) -> Outcome<[u64; 3]> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(release.split('.')) {
        *number = part.parse().map_err(Failure::of(format!("reading version `{version}`")))?;
    }
    Ok(numbers)
}

fn section<'d>(document: &'d Table, name: &str) -> Outcome<&'d Table> {
    let table = document.get(name).and_then(Value::as_table);
    table.ok_or_else(|| Failure::new(format!("deny.toml has no [{name}]")))
}

fn array<'t>(table: &'t Table, name: &str) -> Outcome<&'t [Value]> {
    let array = table.get(name).and_then(Value::as_array);
    array.map(Vec::as_slice).ok_or_else(|| Failure::new(format!("deny.toml has no list `{name}`")))
}

fn tables<'t>(table: &'t Table, name: &str) -> Outcome<impl Iterator<Item = &'t Table>> {
    let entries = array(table, name)?;
    if entries.iter().any(|entry| !entry.is_table()) {
        return Err(Failure::new(format!("deny.toml: an entry of `{name}` is not a table")));
    }
    Ok(entries.iter().filter_map(Value::as_table))
}

fn string<'t>(table: &'t Table, name: &str) -> Outcome<&'t str> {
    let text = table.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Failure::new(format!("deny.toml: an entry has no `{name}`: {table}")))
}

fn strings(table: &Table, name: &str) -> Outcome<Vec<String>> {
    let text = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| Failure::new(format!("deny.toml: `{name}` holds more than strings")))
    };
    array(table, name)?.iter().map(text).collect()
}

/// Known advisories need cargo-deny and a database on this machine; what is not checked is said.
fn advisories(workspace: &Workspace) -> Outcome {
    let has_deny =
        workspace.cargo(&["deny", "--version"]).output().is_ok_and(|o| o.status.success());
    if !has_deny {
        println!("advisories: NOT checked, because cargo-deny is not installed here");
        return Ok(());
    }
    deny(workspace, &["bans", "licenses", "sources"])?;
    if has_advisory_database() {
        return deny(workspace, &["advisories"]);
    }
    println!("advisories: NOT checked, because no advisory database is at hand");
    Ok(())
}

fn deny(workspace: &Workspace, checks: &[&str]) -> Outcome {
    let mut command: Command = workspace.cargo(&["deny", "--offline", "check"]);
    run_command(command.args(checks))
}

/// Whether cargo-deny has fetched a database before, into the folder where it keeps them.
fn has_advisory_database() -> bool {
    let cargo_home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = cargo_home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let listing = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    listing.is_some_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT"]
        exceptions = [{ crate = "hash", allow = ["BSL-1.0"] }]
        [bans]
        deny = [{ crate = "tls", reason = "C" }, { crate = "bin:>=2", reason = "broken" }]
    "#;

    fn package(name: &str, version: &str, license: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: Some(license.to_owned()).filter(|license| !license.is_empty()),
            links: None,
            build_dependencies: Vec::new(),
        }
    }

    fn breaches(packages: &[Package]) -> Vec<String> {
        Rules::parse(RULES).unwrap().check(packages).unwrap()
    }

    #[test]
    fn an_exception_is_for_one_package() {
        let hash = package("hash", "1.0.0", "BSL-1.0");
        assert_eq!(breaches(&[hash]), [""; 0]);
        let found = breaches(&[package("hash", "1.0.0", "MIT"), package("x", "0.1.0", "BSL-1.0")]);
        assert_eq!(found, ["x 0.1.0 is licensed under BSL-1.0"]);
    }

    #[test]
    fn an_exception_nobody_needs_and_a_missing_licence_are_breaches() {
        assert_eq!(
            breaches(&[package("x", "1.0.0", "")]),
            ["x 1.0.0 states no licence", "deny.toml excepts hash, which nothing depends on"]
        );
    }

    #[test]
    fn bans_know_versions() {
        let hash = || package("hash", "1.0.0", "MIT");
        assert_eq!(breaches(&[hash(), package("bin", "1.9.9", "MIT")]), [""; 0]);
        assert_eq!(
            breaches(&[hash(), package("bin", "2.0.0-rc.3", "MIT")]),
            ["bin 2.0.0-rc.3 is banned: broken"]
        );
        assert_eq!(breaches(&[hash(), package("tls", "0.1.0", "MIT")]), ["tls 0.1.0 is banned: C"]);
    }

    #[test]
    fn what_only_a_feature_brings_is_looked_at() {
        let manifest = |rest: &str| {
            let text = format!(
                "[package]\nname = \"x\"\n{rest}[dependencies]\nhash.workspace = true\n\
                 tract-onnx = {{ workspace = true, optional = true }}\n"
            );
            Manifest::parse("x/Cargo.toml", &text, &BTreeMap::new()).unwrap()
        };
        let (hash, onnx) = (package("hash", "1.0.0", "MIT"), package("tract-onnx", "1.0.0", "MIT"));
        let seen = [hash, onnx];
        assert_eq!(
            unseen(&[manifest("")], &seen[..1]),
            ["tract-onnx of x/Cargo.toml was not looked at"]
        );
        assert_eq!(unseen(&[manifest("")], &seen), [""; 0]);
        assert_eq!(unseen(&[manifest("[workspace]\n")], &seen[..1]), [""; 0]);
    }

    #[test]
    fn the_rules_of_this_repository_can_be_read() {
        let rules = Rules::parse(include_str!("../../deny.toml")).unwrap();
        assert!(rules.allowed.iter().any(|licence| licence == "MIT"));
        for banned in ["openssl", "openssl-sys", "rsa", "serde_yaml", "bincode"] {
            assert!(rules.bans.iter().any(|ban| ban.name == banned), "{banned}");
        }
    }

    #[test]
    fn other_forms_of_a_spec_are_refused() {
        assert!(Ban::parse("bin@2.0.0", "x").is_err());
        assert!(Ban::parse("bin:<2", "x").is_err());
    }
}
