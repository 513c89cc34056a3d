//! Files whose names without the endings are the same stay apart in results and drawing.

#![allow(clippy::unwrap_used)]

mod lab;

use std::fs;
use std::path::Path;

use lab::{lab, lines, write_trace};

/// The panels' headings in the order of the drawing.
fn headings(svg: &str) -> Vec<&str> {
    let texts = svg.split("font-weight=\"bold\">").skip(1);
    texts.map(|text| text.split('<').next().unwrap()).collect()
}

/// Replays the files and gives their names, once from the results and once from the drawing.
fn names(directory: &Path, files: &[&str]) -> (Vec<String>, Vec<String>) {
    let asked = ["--strategy", "lru", "--fraction", "0.5", "--json", "--plot", "drawn.svg"];
    let lines = lines(&lab(directory, &[files, &asked].concat()));
    let told = lines.iter().filter_map(|line| Some(line.get("trace")?.as_str()?.to_owned()));
    let svg = fs::read_to_string(directory.join("drawn.svg")).unwrap();
    (told.collect(), headings(&svg).into_iter().map(str::to_owned).collect())
}

fn write_csv(path: &Path, objects: u64) {
    let keys: String = (0..3 * objects).map(|n| format!("{}\n", n % objects)).collect();
    fs::write(path, format!("key\n{keys}")).unwrap();
}

#[test]
fn names_that_are_shared_grow_to_the_paths_that_were_given() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::create_dir(directory.join("x")).unwrap();
    for (number, name) in
        ["log.csv.1", "log.csv.2", "k.csv", "x/k.csv", "alone.csv"].iter().enumerate()
    {
        write_csv(&directory.join(name), 200 + number as u64);
    }
    let files = ["log.csv.1", "log.csv.2", "k.csv", "x/k.csv", "alone.csv"];
    let expected = ["log.csv.1", "log.csv.2", "k.csv", "x/k.csv", "alone"];
    let (told, drawn) = names(directory, &files);
    assert_eq!(told, expected);
    assert_eq!(drawn, expected);
}

#[test]
fn a_path_may_be_the_name_of_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (number, name) in ["k", "k.csv", "k.csv.1"].iter().enumerate() {
        write_csv(&directory.join(name), 200 + number as u64);
    }
    let (told, drawn) = names(directory, &["k", "k.csv", "k.csv.1"]);
    assert_eq!(told, ["k", "k.csv", "k.csv.1"]);
    assert_eq!(drawn, told);
}

#[test]
fn the_ending_of_a_trace_may_be_in_any_case() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "LOUD.CTR.ZST");
    let (told, _) = names(directory, &["--traces", "."]);
    assert_eq!(told, ["LOUD"]);
}

#[test]
fn a_file_that_is_given_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_trace(directory, "small.ctr.zst");
    for files in
        [["small.ctr.zst", "./small.ctr.zst"].as_slice(), &["small.ctr.zst", "--traces", "."]]
    {
        let output = lab(directory, files);
        assert!(!output.status.success() && output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text, "simulate: ./small.ctr.zst and small.ctr.zst are one file\n");
    }
}
