//! What a program reads from the lab: an object a line, cells first, then summaries.

#![allow(clippy::unwrap_used)]

mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lab::{lab, lines, write_trace};
use serde_json::Value;

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_policy_has_a_line_a_cell_and_then_a_summary() {
    let directory = tempfile::tempdir().unwrap();
    write_trace(directory.path(), "small.ctr.zst");
    fs::write(directory.path().join("reference.csv"), "not,a,trace\n").unwrap();
    let lines = lines(&lab(directory.path(), &["--traces", ".", "--json"]));

    let (summaries, cells): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.get("summary").is_some());
    let mut policies = BTreeSet::new();
    for cell in &cells {
        assert_eq!(
            keys(cell),
            ["capacity", "fraction", "miss_ratio", "ns_per_request", "policy", "trace"]
        );
        assert_eq!(cell["trace"], "small");
        policies.insert(cell["policy"].as_str().unwrap());
    }
    for name in ["opt", "lru", "fifo", "sieve", "quick", "default"] {
        assert!(policies.contains(name), "{name} is missing");
    }
    // A cache of a thousandth or a hundredth holds under 32 of the objects.
    assert_eq!(cells.len(), 2 * policies.len());
    assert_eq!(summaries.len(), policies.len());
    for summary in &summaries {
        assert_eq!(
            keys(summary),
            [
                "cells",
                "gap_closed",
                "mean_miss_ratio",
                "ns_per_request",
                "policy",
                "summary",
                "worst_cell"
            ]
        );
        assert_eq!((&summary["summary"], &summary["cells"]), (&Value::from(true), &Value::from(2)));
    }
}

#[test]
fn a_summary_says_how_far_a_policy_is_from_lru_to_foresight() {
    let directory = tempfile::tempdir().unwrap();
    write_trace(directory.path(), "small.ctr.zst");
    let arguments = ["small.ctr.zst", "--fraction", "0.07,0.1,0.3", "--json"];
    let lines = lines(&lab(directory.path(), &arguments));

    let mut ratios = BTreeMap::<&str, Vec<f64>>::new();
    for cell in lines.iter().filter(|line| line.get("trace").is_some()) {
        let policy = cell["policy"].as_str().unwrap();
        ratios.entry(policy).or_default().push(cell["miss_ratio"].as_f64().unwrap());
    }
    for summary in lines.iter().filter(|line| line.get("summary").is_some()) {
        let policy = summary["policy"].as_str().unwrap();
        let told = |key: &str| summary[key].as_f64().unwrap();
        let is_near = |key: &str, expected: f64| {
            assert!((told(key) - expected).abs() < 2e-6, "{policy}: {summary}, not {expected}");
        };
        let gaps: Vec<f64> = ratios[policy]
            .iter()
            .zip(&ratios["lru"])
            .zip(&ratios["opt"])
            .filter(|((_, lru), opt)| *lru - *opt >= 0.02)
            .map(|((ratio, lru), opt)| {
                assert!(ratio >= opt, "{policy} misses less than foresight: {ratio}");
                (lru - ratio) / (lru - opt)
            })
            .collect();
        assert_eq!(gaps.len(), 2, "the largest cell has no gap to close");
        is_near("mean_miss_ratio", ratios[policy].iter().sum::<f64>() / 3.0);
        is_near("gap_closed", gaps.iter().sum::<f64>() / 2.0);
        is_near("worst_cell", gaps.iter().copied().reduce(f64::min).unwrap());
    }
}

#[test]
fn files_of_other_formats_and_single_strategies_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let csv: String = (0..500).map(|n| format!("{}\n", n * n % 211)).collect();
    fs::write(directory.path().join("visits.csv"), format!("key\n{csv}")).unwrap();
    let log: String = (0..500)
        .map(|n| {
            let page = n * 7 % 90;
            format!("h - - [10/Oct/2000:13:55:36 -0700] \"GET /{page} HTTP/1.1\" 200 5\n")
        })
        .collect();
    fs::write(directory.path().join("access.log"), log).unwrap();
    let arguments =
        ["visits.csv", "access.log", "--strategy", "S3_FIFO,lru", "--fraction", "0.5", "--json"];
    let lines = lines(&lab(directory.path(), &arguments));
    let names: Vec<_> = lines
        .iter()
        .map(|line| (line["trace"].as_str().unwrap_or("all"), line["policy"].as_str().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            ("visits", "s3-fifo"),
            ("visits", "lru"),
            ("access", "s3-fifo"),
            ("access", "lru"),
            ("all", "s3-fifo"),
            ("all", "lru")
        ]
    );
    assert_eq!((&lines[0]["fraction"], &lines[2]["capacity"]), (&Value::from(0.5), &45.into()));
}
