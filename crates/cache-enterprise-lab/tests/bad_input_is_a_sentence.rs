//! What cannot be replayed is named on stderr; stdout stays empty.

#![allow(clippy::unwrap_used)]

mod lab;

use std::fs;

use lab::{lab, lines, write_trace};

/// What the lab says to arguments that it refuses.
fn refusal(directory: &std::path::Path, arguments: &[&str]) -> String {
    let output = lab(directory, arguments);
    assert!(!output.status.success(), "{arguments:?} was taken");
    assert!(output.stdout.is_empty(), "{arguments:?} put something on stdout");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn damaged_and_empty_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let whole = fs::read(write_trace(directory.path(), "whole.ctr.zst")).unwrap();
    fs::write(at("cut.ctr.zst"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at("empty.ctr.zst"), b"").unwrap();
    fs::write(at("empty.csv"), b"").unwrap();
    fs::write(at("noise.ctr.zst"), b"no stream at all, but long enough to look like one").unwrap();
    for (file, expected) in [
        ("cut.ctr.zst", "cut.ctr.zst is cut off after"),
        ("empty.ctr.zst", "empty.ctr.zst holds no requests"),
        ("empty.csv", "empty.csv holds no requests"),
        ("noise.ctr.zst", "noise.ctr.zst is damaged"),
        ("absent.csv", "cannot open absent.csv"),
    ] {
        let text = refusal(directory.path(), &[file, "--json"]);
        assert!(text.starts_with("simulate: ") && text.contains(expected), "{text}");
    }
}

#[test]
fn what_can_be_read_only_once_is_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("folder.csv")).unwrap();
    for file in ["folder.csv", "/dev/null"] {
        let text = refusal(directory.path(), &[file, "--json"]);
        let expected = format!("simulate: {file} is no regular file: files are read twice\n");
        assert_eq!(text, expected);
    }
}

#[test]
fn a_file_is_refused_before_the_first_result_though_others_are_fine() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(write_trace(directory.path(), "a.ctr.zst")).unwrap();
    fs::write(directory.path().join("b.ctr.zst"), &whole[..whole.len() - 20]).unwrap();
    let text = refusal(directory.path(), &["--traces", ".", "--json"]);
    assert!(text.contains("b.ctr.zst is cut off"), "{text}");
}

#[test]
fn unknown_strategies_and_impossible_fractions_are_named() {
    let directory = tempfile::tempdir().unwrap();
    write_trace(directory.path(), "a.ctr.zst");
    let text = refusal(directory.path(), &["a.ctr.zst", "--strategy", "lru,seive"]);
    for part in ["`seive`", "s3-fifo", "nearest", "quick", "default"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    for fraction in ["NaN", "0", "-0.1", "1.5", "0.1,", "half"] {
        let text = refusal(directory.path(), &["a.ctr.zst", "--fraction", fraction]);
        assert!(text.contains("is no fraction"), "{text}");
    }
    let text = refusal(directory.path(), &["a.ctr.zst", "--fraction", "0.001"]);
    assert!(text.contains("no cell holds 32 objects"), "{text}");
    // All of them fit: nothing but first requests misses.
    let output =
        lab(directory.path(), &["a.ctr.zst", "--fraction", "1", "--strategy", "lru", "--json"]);
    assert_eq!(lines(&output).len(), 2);
}
