//! `--bars` says yes where every cell of the reference was run, and no other.

#![allow(clippy::unwrap_used)]

mod lab;

use std::fs;
use std::path::Path;

use lab::{lab, lines, write_trace};

const FRACTIONS: &str = "0.1,0.3";

/// Writes what the policies miss, each under the name the reference has for it, `off` by so much.
fn write_reference(directory: &Path, policies: &[(&str, &str)], off: f64) {
    let mut csv = "trace,capacity_fraction,capacity_objects,policy,miss_ratio\n".to_owned();
    for (policy, name) in policies {
        let asked = ["small.ctr.zst", "--strategy", policy, "--fraction", FRACTIONS, "--json"];
        for cell in lines(&lab(directory, &asked)).iter().filter(|line| line.get("trace").is_some())
        {
            let ratio = cell["miss_ratio"].as_f64().unwrap() + off;
            csv += &format!("small,{},{},{name},{ratio:.6}\n", cell["fraction"], cell["capacity"]);
        }
    }
    fs::write(directory.join("reference.csv"), csv).unwrap();
}

/// The rows that the lab prints, a list of columns each.
fn rows(directory: &Path, strategies: &str, fractions: &str) -> Vec<Vec<String>> {
    let arguments = [
        "small.ctr.zst",
        "--strategy",
        strategies,
        "--fraction",
        fractions,
        "--bars",
        "reference.csv",
    ];
    let output = lab(directory, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let columns = |line: &str| line.split('|').map(|column| column.trim().to_owned()).collect();
    text.lines().skip(2).map(columns).collect()
}

/// What the last column says of everything but time, which no test can know.
fn met(row: &[String]) -> String {
    let untimed = row[7].replace("; <= 150 ns", "").replace("<= 150 ns", "");
    let untimed = untimed.trim_end_matches("no: ").trim_end_matches(", ");
    if untimed.is_empty() { "yes".to_owned() } else { untimed.to_owned() }
}

#[test]
fn yes_takes_every_cell_of_the_reference_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "small.ctr.zst");
    write_reference(directory, &[("lru", "lru"), ("opt", "opt")], 0.0);
    for (fractions, expected) in [
        (FRACTIONS, "yes"),
        ("0.3", "1 of 2 cells"),
        ("0.3,0.5", "1 of 2 cells and 1 besides"),
        ("0.1,0.3,0.5", "2 of 2 cells and 1 besides"),
        ("0.1,0.3,0.3", "2 of 2 cells and 1 besides"),
        ("0.5", "0 of 2 cells and 1 besides, no: every cell as the reference"),
    ] {
        for row in rows(directory, "opt,lru", fractions) {
            assert_eq!(met(&row), expected, "{} at {fractions}", row[1]);
        }
    }
    // The reference has cells, but none of this policy.
    let row = &rows(directory, "fifo", FRACTIONS)[0];
    assert_eq!(met(row), "0 of 2 cells and 2 besides, no: every cell as the reference");
}

#[test]
fn a_difference_to_the_reference_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "small.ctr.zst");
    write_reference(directory, &[("lru", "lru"), ("2q", "twoq")], -0.004);
    let rows = rows(directory, "lru,2q", FRACTIONS);
    assert_eq!(met(&rows[0]), "no: every cell as the reference");
    assert_eq!(met(&rows[1]), "no: mean at most 0.003 over the reference");
}

#[test]
fn a_strategy_has_its_bar_and_one_row_however_it_is_spelled() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "small.ctr.zst");
    write_reference(directory, &[("lru", "lru"), ("s3-fifo", "s3fifo"), ("2q", "twoq")], 0.0);
    let rows = rows(directory, "LRU,lru,S3_FIFO,s3-fifo,twoq,2Q", FRACTIONS);
    let names: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(names, ["lru", "s3-fifo", "2q"]);
    for row in &rows {
        assert!(row[6].ends_with("reference; <= 150 ns"), "{row:?}");
        assert_eq!(met(row), "yes");
    }
}
