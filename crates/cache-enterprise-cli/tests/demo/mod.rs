//! The demo as a user runs it, and the report it promises.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Starts the demo with a report for programs.
pub(crate) fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
    command.args(["demo", "--json"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a demo, and reads its report. A demo that saw an error, or an answer that
/// was wrong or out of date, has failed.
pub(crate) fn report(demo: Child) -> Report {
    let Output { status, stdout, stderr } = demo.wait_with_output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{stdout}\n{}", String::from_utf8_lossy(&stderr));
    let json = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    Report { text: stdout, json }
}

/// What `run` gives once `is_seen` holds of it. A busy machine may skip a level for all of a short
/// load, which is no fault of the demo: it runs again, five times at most.
pub(crate) fn until_seen<T>(run: impl Fn() -> T, is_seen: impl Fn(&T) -> bool) -> T {
    for _ in 1..5 {
        let ran = run();
        if is_seen(&ran) {
            return ran;
        }
    }
    run()
}

/// What a demo said.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Report {
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let number = self.json.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("{pointer}: {}", self.json))
    }

    /// What must hold whatever happened to a level: the whole shape, and callers who saw nothing.
    pub(crate) fn assert_whole(&self, levels: &[&str]) {
        let keys: Vec<_> = self.json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "elapsed_seconds",
            "levels",
            "misses",
            "operations",
            "ops_per_second",
            "origin_calls",
            "origin_calls_without_cache",
            "outage",
            "restart",
            "stampede",
        ];
        assert_eq!(keys, expected, "in the order of the alphabet");
        let all = self.json["levels"].as_array().unwrap();
        let names: Vec<_> = all.iter().map(|level| level["name"].as_str().unwrap()).collect();
        assert_eq!(names, levels);
        let hits: u64 = all.iter().map(|level| level["hits"].as_u64().unwrap()).sum();
        assert_eq!(hits + self.number("/misses"), self.number("/operations"));
        assert_eq!(self.number("/stampede/loader_calls"), 1);
        assert_eq!(self.number("/outage/caller_errors"), 0, "{}", self.text);
        assert!(self.text.contains("0 wrong, 0 out of date"), "{}", self.text);
    }

    /// Asserts that `level` was away; a machine that is too busy may take others along.
    pub(crate) fn assert_outage(&self, level: &str, operations_min: u64) {
        let levels = self.json["outage"]["level"].as_str().unwrap();
        assert!(levels.contains(level), "{}", self.text);
        assert!(self.number("/outage/operations") >= operations_min, "{}", self.text);
    }
}
