//! The lab as a process, and small traces for it.
#![allow(dead_code, reason = "each target uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cache_enterprise_workload::{Request, TraceWriter};
use serde_json::Value;

/// Calls the lab in `directory`.
pub(crate) fn lab(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cache-enterprise-lab"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// What a lab that was content printed, one JSON value a line.
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A trace of requests for 521 objects, every other one for one of the first fifty.
pub(crate) fn write_trace(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    let mut writer = TraceWriter::create(&path).unwrap();
    for n in 0..20_000_u64 {
        let id = if n % 2 == 0 { n / 2 % 50 } else { n * n % 1_009 };
        writer.write(&Request::new(id.into())).unwrap();
    }
    writer.finish().unwrap();
    path
}
