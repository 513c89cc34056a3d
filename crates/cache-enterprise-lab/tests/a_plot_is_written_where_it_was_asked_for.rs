//! `--plot` draws a panel a trace and a line a strategy, or says at once that it cannot.

#![allow(clippy::unwrap_used)]

mod lab;

use std::fs;

use lab::{lab, write_trace};

#[test]
fn every_trace_has_a_panel_and_every_strategy_a_line_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "a.ctr.zst");
    write_trace(directory, "b.ctr.zst");
    let longer = "an older drawing, longer than the new one".repeat(1_000);
    fs::write(directory.join("drawn.svg"), &longer).unwrap();
    let arguments = [
        "--traces",
        ".",
        "--strategy",
        "opt,LRU,sieve",
        "--fraction",
        "0.1,0.3",
        "--plot",
        "drawn.svg",
    ];
    assert!(lab(directory, &arguments).status.success());
    let svg = fs::read_to_string(directory.join("drawn.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<g ").count(), 2);
    for heading in ["opt", "lru", "sieve", "a", "b"] {
        assert_eq!(svg.matches(&format!(">{heading}</text>")).count(), 1, "{heading}");
    }
    // Two cells, so a circle at each end of three lines in two panels.
    assert_eq!(svg.matches("<circle").count(), 12);
    // LRU is the dashed black one: once in the legend and once in each panel.
    assert_eq!(svg.matches("stroke-dasharray=\"7 3\"").count(), 3);
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_the_first_result() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "a.ctr.zst");
    for place in ["nowhere/drawn.svg", "."] {
        let output = lab(directory, &["a.ctr.zst", "--strategy", "lru", "--plot", place]);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty(), "{place} was found out after the results");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(&format!("simulate: cannot write {place}: ")), "{text}");
    }
}

#[test]
fn a_run_that_fails_leaves_the_older_drawing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "a.ctr.zst");
    fs::write(directory.join("drawn.svg"), "older").unwrap();
    let arguments =
        ["a.ctr.zst", "--strategy", "lru", "--fraction", "0.001", "--plot", "drawn.svg"];
    assert!(!lab(directory, &arguments).status.success());
    assert_eq!(fs::read_to_string(directory.join("drawn.svg")).unwrap(), "older");
}
