//! Fuzz bodies for what reads bytes of others: envelopes, stored keys, frames of the bus, codecs
//! and compressors.
//!
//! A body is a plain function of bytes. It panics when a rule is broken; errors are answers like
//! any other. Two runners call it:
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml -- --seconds 60          stable, all bodies
//! cargo run --manifest-path fuzz/Cargo.toml -- --target zstd --seed 7
//! cargo fuzz run zstd --features libfuzzer                           nightly, libFuzzer
//! ```
//!
//! Without `--release`, which would leave out the checks of arithmetic and `debug_assert!`.
//!
//! `corpus/` holds a few inputs for each body; `cargo run --manifest-path fuzz/Cargo.toml --bin
//! seed` writes those that are missing.

#![forbid(unsafe_code)]

mod codec;
mod compressor;
mod envelope;
mod frame;
mod key;
mod sample;

pub use codec::{bincode, json, messagepack, postcard, protobuf};
pub use compressor::{gzip, lz4, snap, zstd};
pub use envelope::{envelope_open, header_read};
pub use frame::bus_frame;
pub use key::{key_writer, stored_key};

/// One body with the name of its corpus.
pub struct Target {
    /// Name of the body, of its corpus and of its libFuzzer target.
    pub name: &'static str,
    /// Runs the body on an input.
    pub run: fn(&[u8]),
    /// Makes the inputs its corpus starts from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All bodies.
pub const TARGETS: [Target; 14] = [
    Target { name: "envelope_open", run: envelope_open, seeds: envelope::seeds },
    Target { name: "header_read", run: header_read, seeds: envelope::seeds },
    Target { name: "stored_key", run: stored_key, seeds: key::stored_seeds },
    Target { name: "key_writer", run: key_writer, seeds: key::writer_seeds },
    Target { name: "bus_frame", run: bus_frame, seeds: frame::seeds },
    Target { name: "messagepack", run: messagepack, seeds: codec::messagepack_seeds },
    Target { name: "json", run: json, seeds: codec::json_seeds },
    Target { name: "postcard", run: postcard, seeds: codec::postcard_seeds },
    Target { name: "bincode", run: bincode, seeds: codec::bincode_seeds },
    Target { name: "protobuf", run: protobuf, seeds: codec::protobuf_seeds },
    Target { name: "zstd", run: zstd, seeds: compressor::zstd_seeds },
    Target { name: "lz4", run: lz4, seeds: compressor::lz4_seeds },
    Target { name: "snap", run: snap, seeds: compressor::snap_seeds },
    Target { name: "gzip", run: gzip, seeds: compressor::gzip_seeds },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Without libFuzzer nobody compiles the entries, so their text is compared.
    #[test]
    fn every_body_has_its_entry_for_libfuzzer() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = fs::read_to_string(here.join("Cargo.toml")).expect("the manifest");
        for Target { name, .. } in TARGETS {
            let path = format!("fuzz_targets/{name}.rs");
            let entry = format!(
                "//! libFuzzer's entry to the body `{name}`.\n\n#![no_main]\n\n\
                 use cache_enterprise_fuzz::{name};\nuse libfuzzer_sys::fuzz_target;\n\n\
                 fuzz_target!(|bytes: &[u8]| {name}(bytes));\n"
            );
            assert_eq!(fs::read_to_string(here.join(&path)).unwrap_or_default(), entry, "{path}");
            let binary = format!(
                "[[bin]]\nname = \"{name}\"\npath = \"{path}\"\n\
                 required-features = [\"libfuzzer\"]\ntest = false\ndoc = false\n"
            );
            assert!(manifest.contains(&binary), "{name} is no binary of the manifest");
        }
        let entries = fs::read_dir(here.join("fuzz_targets")).expect("the entries").count();
        assert_eq!(entries, TARGETS.len());
    }

    /// Of codecs and compressors the libraries may write other bytes in another version.
    #[test]
    fn the_corpus_of_our_own_formats_is_what_their_seeds_give() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let ours = ["envelope_open", "header_read", "stored_key", "key_writer", "bus_frame"];
        for target in TARGETS.iter().filter(|target| ours.contains(&target.name)) {
            for (number, seed) in (target.seeds)().iter().enumerate() {
                let path = corpus.join(target.name).join(format!("seed-{number}"));
                assert_eq!(fs::read(&path).ok().as_ref(), Some(seed), "{}", path.display());
            }
        }
    }
}
