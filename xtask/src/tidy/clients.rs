//! The client of a foreign system sits in one crate, so that replacing it touches one crate.

use super::Violation;
use crate::manifest::Manifest;
use crate::workspace::BENCH;

/// A client and the crates that may name it; the benches name each, and some only they. Foundations (bytes, serde, tokio, tracing,
/// async-trait) are not clients and may be shared.
const CLIENTS: &[(&str, &[&str])] = &[
    ("amalgam-cache", &[]),
    ("backon", &["cache-enterprise-redis", "cache-enterprise-resilience"]),
    ("bincode", &["cache-enterprise-serializers"]),
    ("clap", &["cache-enterprise-cli"]),
    ("deadpool-redis", &["cache-enterprise-redis"]),
    ("figment", &["cache-enterprise-settings"]),
    ("fjall", &["cache-enterprise-disk"]),
    ("flate2", &["cache-enterprise-serializers"]),
    ("fred", &[]),
    ("hydracache", &[]),
    ("indicatif", &["cache-enterprise-cli"]),
    ("lz4_flex", &["cache-enterprise-serializers"]),
    ("memcache", &["cache-enterprise-memcached"]),
    ("multi-tier-cache", &[]),
    ("postcard", &["cache-enterprise-serializers"]),
    ("prost", &["cache-enterprise-serializers"]),
    ("quick_cache", &["cache-enterprise-memory"]),
    ("rcgen", &["cache-enterprise-testkit"]),
    ("redis", &["cache-enterprise-redis"]),
    ("rmp-serde", &["cache-enterprise-serializers"]),
    ("snap", &["cache-enterprise-serializers"]),
    ("tract-onnx", &["cache-enterprise-strategies"]),
    // Trace files are compressed; that is a file format there, not a choice of compressor.
    ("zstd", &["cache-enterprise-serializers", "cache-enterprise-workload"]),
];

pub(super) fn check(manifests: &[Manifest]) -> Vec<Violation> {
    let mut violations = Vec::new();
    // The benches name the clients as peers.
    for manifest in manifests.iter().filter(|manifest| manifest.package != BENCH) {
        for dependency in &manifest.dependencies {
            let client = CLIENTS.iter().find(|(client, _)| *client == dependency.package);
            let Some((client, homes)) = client else { continue };
            if !homes.contains(&manifest.package.as_str()) {
                let fix = match homes {
                    [] => "it is a peer of the benches alone".to_owned(),
                    homes => format!("go through {}", homes.join(" or ")),
                };
                violations.push(Violation::new(
                    "client",
                    &manifest.path,
                    dependency.line,
                    format!("{} names the client {client}", manifest.package),
                    fix,
                ));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    fn breaches(package: &str, client: &str) -> Vec<String> {
        let text =
            format!("[package]\nname = \"{package}\"\n[dependencies]\n{client}.workspace = true\n");
        let manifest = Manifest::parse("x/Cargo.toml", &text, &BTreeMap::new()).unwrap();
        check(&[manifest]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_client_outside_its_crate_is_found() {
        assert_eq!(
            breaches("cache-enterprise-engine", "quick_cache"),
            ["x/Cargo.toml:4: cache-enterprise-engine names the client quick_cache: \
              go through cache-enterprise-memory"]
        );
    }

    #[test]
    fn a_peer_of_the_benches_is_nobody_elses() {
        assert_eq!(
            breaches("cache-enterprise-redis", "fred"),
            ["x/Cargo.toml:4: cache-enterprise-redis names the client fred: \
              it is a peer of the benches alone"]
        );
        assert_eq!(breaches(BENCH, "fred"), [""; 0]);
    }

    #[test]
    fn homes_foundations_and_benches_are_free() {
        assert_eq!(breaches("cache-enterprise-memory", "quick_cache"), [""; 0]);
        assert_eq!(breaches("cache-enterprise-workload", "zstd"), [""; 0]);
        assert_eq!(breaches("cache-enterprise-engine", "tokio"), [""; 0]);
        assert_eq!(breaches(BENCH, "fjall"), [""; 0]);
    }
}
