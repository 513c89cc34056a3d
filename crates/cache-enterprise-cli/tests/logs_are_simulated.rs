//! `cachectl simulate` on a log of one's own: strategies side by side, and a size advice.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn simulate(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
    command.arg("simulate").args(arguments).current_dir(directory).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Two parts of a rotated log: a loop over 600 pages of 64 KiB, 37.5 MiB together.
fn write_logs(directory: &Path) {
    for (name, pages) in [("access.log.1", 0..1_500), ("access.log", 1_500..3_000)] {
        let lines: String = pages
            .map(|n| {
                let page = n % 600;
                format!("h - - [10/Oct/2000:13:55:36 -0700] \"GET /{page} HTTP/1.1\" 200 65536\n")
            })
            .collect();
        fs::write(directory.join(name), lines).unwrap();
    }
}

#[test]
fn more_memory_is_told_in_points() {
    let directory = tempfile::tempdir().unwrap();
    write_logs(directory.path());
    let arguments = ["access.log.1", "access.log", "--capacity", "32", "--strategy", "lru,fifo"];
    let text = stdout(&simulate(directory.path(), &arguments));
    for line in [
        "requests     3000 for 600 objects",
        "all objects  37.5 MiB",
        "capacity     32 MiB (85.3 % of all)",
        "another size, with lru:",
        // The loop does not fit, and then it does: all but the first of five rounds.
        "-16 MiB: +0.0 points",
        "+8 MiB: +80.0 points",
    ] {
        assert!(text.lines().any(|other| other == line), "`{line}` is not in:\n{text}");
    }
}

#[test]
fn an_answer_without_a_body_leaves_the_size_of_its_object() {
    let directory = tempfile::tempdir().unwrap();
    let line = |answer: &str| {
        format!("h - - [10/Oct/2000:13:55:36 -0700] \"GET /film HTTP/1.1\" {answer}\n")
    };
    for answers in [["200 4194304", "304 -"], ["304 0", "200 4194304"]] {
        fs::write(directory.path().join("access.log"), answers.map(line).concat()).unwrap();
        let arguments = ["access.log", "--capacity", "16", "--strategy", "lru"];
        let text = stdout(&simulate(directory.path(), &arguments));
        assert!(text.contains("all objects  4 MiB\n"), "{text}");
        assert!(text.contains("lru                    50.00 %"), "{text}");
    }
}

#[test]
fn programs_read_an_object_a_line() {
    let directory = tempfile::tempdir().unwrap();
    write_logs(directory.path());
    let arguments = ["access.log.1", "access.log", "--entries", "400", "--json"];
    let text = stdout(&simulate(directory.path(), &arguments));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["objects"], &lines[0]["unit"]), (&600.into(), &"objects".into()));
    let ratio = |name: &str| {
        let line = lines.iter().find(|line| line["strategy"] == name).unwrap();
        line["hit_ratio"].as_f64().unwrap()
    };
    assert_eq!(ratio("lru"), 0.0);
    assert!(ratio("quick") > 0.0 && ratio("opt") >= ratio("quick"));
    assert_eq!(lines.iter().filter(|line| line["advice"] == true).count(), 4);
}

#[test]
fn what_cannot_be_simulated_is_a_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("keys.csv"), "key\n1\n2\n").unwrap();
    fs::write(directory.path().join("empty.csv"), "").unwrap();
    for (arguments, expected) in [
        (&["keys.csv", "--capacity", "8"][..], "carry no sizes"),
        (&["keys.csv", "--strategy", "lru,seive"], "nearest: sieve"),
        (&["empty.csv"], "empty.csv holds no requests"),
        (&["keys.csv", "absent.csv"], "cannot open absent.csv"),
        (&["."], "cannot read .: "),
        (&["keys.csv", "--entries", "0"], "0 is not in 1"),
        (&[], "<FILE>"),
    ] {
        let output = simulate(directory.path(), arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(expected) && output.stdout.is_empty(), "{text}");
    }
}
