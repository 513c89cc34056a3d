//! Manifests: what is shared is inherited, what is offered is explained, one registry for all.

use super::Violation;
use crate::manifest::Manifest;
use crate::test::needs::{Needs, REAL_SERVERS};
use crate::workspace::Tree;

pub(super) fn check(manifests: &[Manifest], tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for manifest in manifests {
        violations.extend(features_are_explained(manifest));
        violations.extend(folder_is_named_after_the_crate(manifest));
        violations.extend(tests_name_their_server(manifest));
        if !manifest.own_workspace {
            violations.extend(shared_fields_are_inherited(manifest));
            violations.extend(dependencies_are_inherited(manifest));
        }
    }
    violations.extend(tree.text("Cargo.lock").and_then(sources_are_one_registry));
    violations
}

/// The tests of each server are counted apart, and it is the name of their target that says which
/// server that is.
fn tests_name_their_server(manifest: &Manifest) -> impl Iterator<Item = Violation> {
    let nameless = manifest
        .tests
        .iter()
        .filter(|test| test.requires(REAL_SERVERS) && Needs::of(&test.name).is_none());
    nameless.map(|test| {
        let what = format!("{} does not say on which server it runs", test.name);
        let fix = format!("let its name begin like one of {}", Needs::names());
        Violation::new("manifest", &manifest.path, test.line, what, fix)
    })
}

fn shared_fields_are_inherited(manifest: &Manifest) -> impl Iterator<Item = Violation> {
    let package = |manifest: &Manifest, what: String, fix: String| {
        Violation::new("manifest", &manifest.path, manifest.package_line, what, fix)
    };
    let missing = ["version", "edition", "license", "lints"]
        .into_iter()
        .filter(|field| !manifest.is_inherited(field))
        .map(move |field| {
            let fix = match field {
                "lints" => "add [lints] with `workspace = true`".to_owned(),
                _ => format!("write `{field}.workspace = true`"),
            };
            package(manifest, format!("{field} is not the workspace's"), fix)
        });
    let undescribed = (!manifest.described).then(|| {
        package(
            manifest,
            format!("{} has no description", manifest.package),
            "say in one line what the crate holds".to_owned(),
        )
    });
    missing.chain(undescribed)
}

fn dependencies_are_inherited(manifest: &Manifest) -> impl Iterator<Item = Violation> {
    manifest.dependencies.iter().filter(|dependency| !dependency.inherited).map(|dependency| {
        Violation::new(
            "manifest",
            &manifest.path,
            dependency.line,
            format!("{} has a version of its own", dependency.package),
            "put the version in [workspace.dependencies] and write `workspace = true`",
        )
    })
}

/// `default` explains itself: it lists the others.
fn features_are_explained(manifest: &Manifest) -> impl Iterator<Item = Violation> {
    let silent =
        |feature: &&crate::manifest::Feature| !feature.commented && feature.name != "default";
    manifest.features.iter().filter(silent).map(|feature| {
        Violation::new(
            "manifest",
            &manifest.path,
            feature.line,
            format!("feature {} has no comment above it", feature.name),
            "say in one line what it adds and what it costs",
        )
    })
}

fn folder_is_named_after_the_crate(manifest: &Manifest) -> Option<Violation> {
    let folder = manifest.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (folder != manifest.package).then(|| {
        Violation::new(
            "manifest",
            &manifest.path,
            manifest.package_line,
            format!("{} lies in the folder {folder}", manifest.package),
            "give folder and crate one name",
        )
    })
}

/// Every locked package comes from the registry the first one comes from, so a checkout of a fork
/// or a private mirror cannot slip into the lock file.
fn sources_are_one_registry(lock: &str) -> Option<Violation> {
    let source = |(index, line): (usize, &str)| {
        let source = line.strip_prefix("source = ")?;
        Some((index + 1, source.to_owned()))
    };
    let mut sources = lock.lines().enumerate().filter_map(source);
    let (first_line, first) = sources.next()?;
    let stray = match first.starts_with("\"registry+") {
        true => sources.find(|(_, source)| *source != first),
        false => Some((first_line, first)),
    };
    stray.map(|(line, _)| {
        Violation::new(
            "manifest",
            "Cargo.lock",
            line,
            "a package comes from elsewhere than the one registry",
            "use a published version and lock again",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        check(&tree.manifests().unwrap(), &tree).iter().map(|v| v.what.clone()).collect()
    }

    #[test]
    fn what_is_not_inherited_is_named() {
        let text = "[package]\nname = \"a\"\nversion = \"1.0.0\"\nedition.workspace = true\n\
                    license.workspace = true\n[dependencies]\nbytes = \"1\"\n";
        assert_eq!(
            breaches("crates/a/Cargo.toml", text),
            [
                "version is not the workspace's",
                "lints is not the workspace's",
                "a has no description",
                "bytes has a version of its own",
            ]
        );
    }

    #[test]
    fn a_workspace_of_its_own_inherits_nothing() {
        let text = "[package]\nname = \"fuzz\"\n[dependencies]\nfuzzer = \"1\"\n[workspace]\n";
        assert_eq!(breaches("fuzz/Cargo.toml", text), [""; 0]);
    }

    #[test]
    fn a_feature_says_what_it_adds() {
        let text = "[package]\nname = \"fuzz\"\n[workspace]\n[features]\ndefault = [\"a\"]\n\
                    # Adds a.\na = []\nb = []\n";
        assert_eq!(breaches("fuzz/Cargo.toml", text), ["feature b has no comment above it"]);
    }

    #[test]
    fn a_folder_under_another_name_is_found() {
        let text = "[package]\nname = \"b\"\n[workspace]\n";
        assert_eq!(breaches("crates/a/Cargo.toml", text), ["b lies in the folder a"]);
    }

    #[test]
    fn a_test_on_a_server_says_on_which() {
        let test = |name: &str, required: &str| {
            let text = format!(
                "[package]\nname = \"fuzz\"\n[workspace]\n\
                 [[test]]\nname = \"{name}\"\nrequired-features = [\"{required}\"]\n"
            );
            breaches("fuzz/Cargo.toml", &text)
        };
        assert_eq!(test("outage", REAL_SERVERS), ["outage does not say on which server it runs"]);
        assert_eq!(test("redis_outage", REAL_SERVERS), [""; 0]);
        assert_eq!(test("outage", "proxy"), [""; 0]);
    }

    #[test]
    fn a_second_source_is_found() {
        let one = "source = \"registry+index\"\nsource = \"registry+index\"\n";
        let two = "source = \"registry+index\"\n\nsource = \"git+elsewhere\"\n";
        assert!(sources_are_one_registry(one).is_none());
        assert_eq!(sources_are_one_registry(two).unwrap().line, 3);
        assert_eq!(sources_are_one_registry("source = \"git+only\"\n").unwrap().line, 1);
    }
}
