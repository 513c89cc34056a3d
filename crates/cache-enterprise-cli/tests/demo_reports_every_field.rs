//! The demo is run as a user runs it; its last line, exit code and messages are what is promised.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the demo; again where the restart found nothing, five times at most: a busy machine may
/// skip the disk for all of a short load.
fn demo(arguments: &[&str]) -> Output {
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
        command.arg("demo").args(arguments).output().unwrap()
    };
    let is_cold = |output: &Output| {
        output.status.success() && number(&json(output), "/restart/warm_hits") == 0
    };
    let mut output = run();
    for _ in 1..5 {
        if is_cold(&output) {
            output = run();
        }
    }
    output
}

fn replay(path: &Path) -> Output {
    demo(&["--json", "--trace", path.to_str().unwrap()])
}

fn json(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {value}"))
}

fn assert_whole(report: &Value) {
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "operations",
        "elapsed_seconds",
        "ops_per_second",
        "levels",
        "misses",
        "origin_calls",
        "origin_calls_without_cache",
        "stampede",
        "outage",
        "restart",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let levels = report["levels"].as_array().unwrap();
    assert_eq!((&levels[0]["name"], &levels[1]["name"]), (&"L1 memory".into(), &"L2 disk".into()));
    for level in levels {
        let [p50, p99, p999] =
            ["p50_us", "p99_us", "p999_us"].map(|key| level[key].as_f64().unwrap());
        assert!(p50 <= p99 && p99 <= p999, "{level}");
    }
    let hits = number(report, "/levels/0/hits") + number(report, "/levels/1/hits");
    assert_eq!(hits + number(report, "/misses"), number(report, "/operations"));
    assert_eq!(number(report, "/stampede/callers"), 10_000);
    assert_eq!(number(report, "/stampede/loader_calls"), 1);
    assert!(number(report, "/outage/operations") >= 1_000);
    assert_eq!(number(report, "/outage/caller_errors"), 0);
    assert!(number(report, "/restart/warm_hits") >= 1);
}

#[test]
fn the_catalogue_runs_with_nothing_to_configure() {
    let report = json(&demo(&["--json", "--seconds", "1", "--capacity", "4"]));
    assert_whole(&report);
    assert!(number(&report, "/origin_calls") < number(&report, "/origin_calls_without_cache"));
}

#[test]
fn a_csv_shorter_than_the_outage_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("visits.csv");
    let lines: Vec<_> = (0..300).map(|i| format!("/page/{},t{}", i % 50, i % 3)).collect();
    fs::write(&path, format!("key,tenant\n{}\n", lines.join("\n"))).unwrap();
    let report = json(&replay(&path));
    assert_whole(&report);
    assert_eq!(number(&report, "/operations"), 300);
}

/// A line of an access log.
fn visit(page: u64, bytes: &str) -> String {
    let time = format!("10/Oct/2000:13:{:02}:{:02} -0700", page / 60 % 60, page % 60);
    format!("192.0.2.{} - - [{time}] \"GET /page/{page} HTTP/1.1\" 200 {bytes}\n", page % 250)
}

#[test]
fn an_access_log_is_replayed_and_its_skipped_lines_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut log = String::from("# a comment of somebody's rotation script\n");
    for number in 0..400_u64 {
        let bytes = if number % 4 == 0 { "-".into() } else { (700 + number).to_string() };
        log.push_str(&visit(number * number % 40, &bytes));
        if number % 100 == 0 {
            log.push_str("192.0.2.1 - - cut off\n");
        }
    }
    fs::write(&path, log).unwrap();
    let output = replay(&path);
    let report = json(&output);
    assert_whole(&report);
    assert_eq!(number(&report, "/operations"), 400);
    assert_eq!(number(&report, "/origin_calls_without_cache"), 400);
    let pages = (0..400_u64).map(|number| number * number % 40).collect::<HashSet<_>>().len();
    assert!(number(&report, "/origin_calls") >= pages as u64);

    let text = String::from_utf8(output.stdout).unwrap();
    let file = text.lines().find(|line| line.starts_with("file: ")).unwrap();
    assert!(
        file.starts_with("file: 400 requests, 5 lines skipped (the first is line 1: "),
        "{file}"
    );
    assert!(text.contains("sizes: recorded for 300 of 400 reads"), "{text}");
    assert!(text.contains("the file was read again meanwhile"), "{text}");
}

#[test]
fn what_no_cache_stores_is_skipped_as_a_line_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("visits.csv");
    let mut lines: Vec<_> = (0..400).map(|i| format!("/page/{},acme", i % 40)).collect();
    lines.insert(200, format!("/page/1,{}", "t".repeat(129)));
    lines.insert(100, format!("/{},acme", "x".repeat(9_000)));
    fs::write(&path, format!("key,tenant\n{}\n", lines.join("\n"))).unwrap();
    let output = replay(&path);
    let report = json(&output);
    assert_whole(&report);
    assert_eq!(number(&report, "/operations"), 400);
    let text = String::from_utf8(output.stdout).unwrap();
    let skipped =
        "file: 400 requests, 2 lines skipped (the first is line 102: the key is over 8 KiB";
    assert!(text.contains(skipped), "{text}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_replayed_like_a_file() {
    let piped = |content: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
        command.args(["demo", "--json", "--trace", "/dev/stdin"]).stdin(Stdio::piped());
        let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        demo.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        demo.wait_with_output().unwrap()
    };
    let output = piped(&format!("key\n{}", "/home\n/about\n".repeat(150)));
    assert_eq!(number(&json(&output), "/operations"), 300);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("replay of /dev/stdin, ") && text.contains("\nfile: 300 req"), "{text}");

    let refused = piped("");
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr, "cachectl: /dev/stdin holds no requests\n");
}

#[test]
fn sizes_and_tenants_of_a_csv_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("visits.csv");
    let mut csv = String::from("key,time,size,tenant\n");
    // Each of the three tenants asks for the same ten keys a hundred times.
    for i in 0..3_000 {
        writeln!(csv, "{},{i},{},t{}", i / 3 % 10, 50_000 + i % 3, i % 3).unwrap();
    }
    fs::write(&path, csv).unwrap();
    let output = replay(&path);
    let report = json(&output);
    assert_whole(&report);
    assert_eq!(number(&report, "/operations"), 3_000);
    assert!(number(&report, "/origin_calls") >= 30, "a key of three tenants is three objects");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("file: 3000 requests, 0 lines skipped\n"), "{text}");
    assert!(text.contains("sizes: recorded for 3000 of 3000 reads"), "{text}");
}

#[test]
fn seconds_end_a_replay_before_its_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    // Each key is cold: 256 loads of 20 ms at a time take 39 s for the whole file.
    let total = 500_000_u64;
    let keys: String = (0..total).map(|key| format!("{key}\n")).collect();
    fs::write(&path, format!("key\n{keys}")).unwrap();
    let arguments = ["--json", "--seconds", "1", "--origin-ms", "20", "--trace"];
    let report = json(&demo(&[&arguments[..], &[path.to_str().unwrap()]].concat()));
    assert_whole(&report);
    assert!(number(&report, "/operations") < total);
}

#[test]
fn bad_files_get_one_clear_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer =
        cache_enterprise_workload::TraceWriter::create(folder.path().join("whole.ctr.zst"))
            .unwrap();
    for id in 0..10_000_u64 {
        let key = cache_enterprise_workload::RequestKey::Id(id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        writer.write(&cache_enterprise_workload::Request::new(key)).unwrap();
    }
    writer.finish().unwrap();
    let whole = fs::read(folder.path().join("whole.ctr.zst")).unwrap();
    let good = "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5\n";
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("truncated.ctr.zst", whole[..whole.len() / 2].to_vec(), "cut off"),
        ("empty.ctr.zst", Vec::new(), "holds no requests"),
        ("empty.log", Vec::new(), "holds no requests"),
        (
            "noise.log",
            format!("{}{}", good.repeat(8), "no request\n").into_bytes(),
            "more than 10 %",
        ),
        ("header.csv", b"name,colour\n1,2\n".to_vec(), ""),
    ];
    for (name, content, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let output = replay(&path);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
        assert!(stderr.contains(expected) && stderr.contains(name), "{name}: {stderr}");
        assert!(output.stdout.is_empty(), "{name}");
    }
    for unreadable in [folder.path().join("absent.log"), folder.path().to_owned()] {
        assert_eq!(replay(&unreadable).status.code(), Some(2));
    }
}
