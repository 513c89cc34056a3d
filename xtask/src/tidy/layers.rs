//! The layers: which of our crates each crate may know.
//!
//! A part knows core; the engine knows core, memory, resilience and strategies; the umbrella knows all; nobody
//! knows the umbrella but the binaries, the examples and the benches. Tests may use the test kit
//! everywhere: it is how a part proves that it keeps a contract of core.

use super::Violation;
use crate::manifest::{Dependency, Kind, Manifest};

const CORE: &str = "cache-enterprise-core";
const MEMORY: &str = "cache-enterprise-memory";
const DISK: &str = "cache-enterprise-disk";
const REDIS: &str = "cache-enterprise-redis";
const MEMCACHED: &str = "cache-enterprise-memcached";
const SERIALIZERS: &str = "cache-enterprise-serializers";
const RESILIENCE: &str = "cache-enterprise-resilience";
const STRATEGIES: &str = "cache-enterprise-strategies";
const WORKLOAD: &str = "cache-enterprise-workload";
const ENGINE: &str = "cache-enterprise-engine";
const SETTINGS: &str = "cache-enterprise-settings";
const UMBRELLA: &str = "cache-enterprise";
const TESTKIT: &str = "cache-enterprise-testkit";
const CHAOS: &str = "cache-enterprise-chaos";
const LAB: &str = "cache-enterprise-lab";
const OWN_BACKEND: &str = "own-backend";
const OWN_POLICY: &str = "own-policy";

/// A crate and what it may know of ours. A new crate gets its row here, in order of layers.
const LAYERS: &[(&str, &[&str])] = &[
    // Layer 0: the words.
    (CORE, &[]),
    // Layer 1: the parts.
    (MEMORY, &[CORE]),
    (DISK, &[CORE]),
    (REDIS, &[CORE]),
    (MEMCACHED, &[CORE]),
    (SERIALIZERS, &[CORE]),
    (RESILIENCE, &[CORE]),
    (STRATEGIES, &[CORE]),
    (WORKLOAD, &[CORE]),
    // Layer 2: what walks the parts, and what configures them through core's registry.
    (ENGINE, &[CORE, MEMORY, RESILIENCE, STRATEGIES]),
    (SETTINGS, &[CORE]),
    // Layer 3: the door.
    (
        UMBRELLA,
        &[
            CORE,
            MEMORY,
            DISK,
            REDIS,
            MEMCACHED,
            SERIALIZERS,
            RESILIENCE,
            STRATEGIES,
            ENGINE,
            SETTINGS,
        ],
    ),
    // Layer 4: the binaries.
    ("cache-enterprise-cli", &[UMBRELLA, CORE, TESTKIT, WORKLOAD]),
    // Beside the layers.
    (TESTKIT, &[CORE]),
    // The engine in the test kit's world: neither may know the other.
    (CHAOS, &[CORE, ENGINE, TESTKIT]),
    // The strategies on recorded requests, bare and in their store.
    (LAB, &[CORE, MEMORY, STRATEGIES, WORKLOAD]),
    ("examples", &[UMBRELLA]),
    // Stands for a crate of somebody else: it shows what an author of a backend or a policy
    // needs.
    (OWN_BACKEND, &[CORE]),
    (OWN_POLICY, &[CORE]),
    ("cache-enterprise-bench", ALL),
    ("cache-enterprise-fuzz", ALL),
    ("xtask", &[]),
];

/// What tests of a crate may know besides, the test kit apart: the engine proves its walk with a
/// real codec, a backend behind a network keeps its contract inside the wrappers too, a store does
/// under every policy, and requests are sent through the store that serves.
const KNOWN_BY_TESTS: &[(&str, &str)] = &[
    (ENGINE, SERIALIZERS),
    (REDIS, RESILIENCE),
    (MEMCACHED, RESILIENCE),
    (MEMORY, STRATEGIES),
    (WORKLOAD, MEMORY),
    (OWN_POLICY, MEMORY),
];

/// Benches and fuzz targets look into every room.
const ALL: &[&str] = &[
    CORE,
    MEMORY,
    DISK,
    REDIS,
    MEMCACHED,
    SERIALIZERS,
    RESILIENCE,
    STRATEGIES,
    WORKLOAD,
    ENGINE,
    SETTINGS,
    UMBRELLA,
    TESTKIT,
];

pub(super) fn check(manifests: &[Manifest]) -> Vec<Violation> {
    manifests.iter().flat_map(check_one).collect()
}

fn check_one(manifest: &Manifest) -> Vec<Violation> {
    let Some((_, known)) = LAYERS.iter().find(|(name, _)| *name == manifest.package) else {
        return vec![Violation::new(
            "layer",
            &manifest.path,
            manifest.package_line,
            format!("{} stands in no layer", manifest.package),
            "give it a row in xtask/src/tidy/layers.rs",
        )];
    };
    manifest
        .dependencies
        .iter()
        .filter(|dependency| !may_know(&manifest.package, known, dependency))
        .map(|dependency| {
            Violation::new(
                "layer",
                &manifest.path,
                dependency.line,
                format!(
                    "{} knows {}, which its layer may not",
                    manifest.package, dependency.package
                ),
                "move what it needs to a lower layer, or the code that needs it to a higher one",
            )
        })
        .collect()
}

fn may_know(package: &str, known: &[&str], dependency: &Dependency) -> bool {
    let ours = dependency.package.starts_with(UMBRELLA);
    let pair = (package, dependency.package.as_str());
    let for_tests = dependency.kind == Kind::Dev
        && (dependency.package == TESTKIT || KNOWN_BY_TESTS.contains(&pair));
    !ours || for_tests || known.contains(&dependency.package.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    fn breaches(package: &str, tables: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{package}\"\n{tables}");
        let path = format!("crates/{package}/Cargo.toml");
        let manifest = Manifest::parse(&path, &text, &BTreeMap::new()).unwrap();
        check(&[manifest]).iter().map(|violation| violation.what.clone()).collect()
    }

    #[test]
    fn a_part_may_not_know_another_part() {
        let planted = "[dependencies]\ncache-enterprise-memory.workspace = true\n";
        assert_eq!(
            breaches(DISK, planted),
            ["cache-enterprise-disk knows cache-enterprise-memory, which its layer may not"]
        );
        assert_eq!(breaches(ENGINE, planted), [""; 0]);
    }

    #[test]
    fn build_and_target_tables_count_too() {
        let build = "[build-dependencies]\ncache-enterprise-engine.workspace = true\n";
        let target = "[target.'cfg(unix)'.dependencies]\ncache-enterprise.workspace = true\n";
        assert_eq!(breaches(WORKLOAD, build).len(), 1);
        assert_eq!(breaches(WORKLOAD, target).len(), 1);
    }

    #[test]
    fn the_test_kit_is_for_tests() {
        let test = "[dev-dependencies]\ncache-enterprise-testkit.workspace = true\n";
        let normal = "[dependencies]\ncache-enterprise-testkit.workspace = true\n";
        assert_eq!(breaches(MEMORY, test), [""; 0]);
        assert_eq!(breaches(MEMORY, normal).len(), 1);
        let other = "[dev-dependencies]\ncache-enterprise-disk.workspace = true\n";
        assert_eq!(breaches(MEMORY, other).len(), 1);
    }

    #[test]
    fn tests_of_a_network_backend_may_wrap_it() {
        let wrapped = "[dev-dependencies]\ncache-enterprise-resilience.workspace = true\n";
        let shipped = "[dependencies]\ncache-enterprise-resilience.workspace = true\n";
        for package in [REDIS, MEMCACHED] {
            assert_eq!(breaches(package, wrapped), [""; 0], "{package}");
            assert_eq!(breaches(package, shipped).len(), 1, "{package}");
        }
    }

    #[test]
    fn nobody_knows_the_umbrella_but_the_outside() {
        let planted = "[dependencies]\ncache-enterprise.workspace = true\n";
        for package in [CORE, MEMORY, REDIS, ENGINE, SETTINGS, TESTKIT, OWN_BACKEND, "xtask"] {
            assert_eq!(breaches(package, planted).len(), 1, "{package}");
        }
        for package in ["cache-enterprise-cli", "cache-enterprise-bench", "examples"] {
            assert_eq!(breaches(package, planted), [""; 0], "{package}");
        }
    }

    #[test]
    fn a_crate_without_a_row_is_a_breach() {
        assert_eq!(
            breaches("cache-enterprise-new", ""),
            ["cache-enterprise-new stands in no layer"]
        );
    }
}
