//! Whoever ends the demo early, by whatever signal, finds no directory of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Starts `command` with a demo that keeps its things in `folder`.
fn start(mut command: Command, folder: &Path) -> Child {
    command.env("TMPDIR", folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A demo that hears a hang-up, also where the tests run under `nohup`.
fn demo(arguments: &[&str]) -> Command {
    let cachectl = env!("CARGO_BIN_EXE_cachectl");
    let mut command = match cfg!(target_os = "linux") {
        true => Command::new("env"),
        false => Command::new(cachectl),
    };
    if cfg!(target_os = "linux") {
        command.args(["--default-signal=HUP", cachectl]);
    }
    command.arg("demo").args(arguments);
    command
}

/// Sends a signal once the demo has made its directory; it hears signals by then.
fn signal(demo: &mut Child, folder: &Path, name: &str) {
    while fs::read_dir(folder).unwrap().next().is_none() {
        assert_eq!(demo.try_wait().unwrap(), None, "it ended by itself");
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args(["-s", name, &demo.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn end(demo: Child, folder: &Path) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = demo.wait_with_output().unwrap();
    let left = fs::read_dir(folder).unwrap().count();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(left, 0, "{status}: {stderr}");
    (status.code(), stderr)
}

#[test]
fn each_signal_removes_the_directory_and_is_told() {
    for (name, code, words) in
        [("INT", 130, "interrupted"), ("TERM", 143, "terminated"), ("HUP", 129, "hung up")]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = start(demo(&["--seconds", "600"]), folder.path());
        signal(&mut demo, folder.path(), name);
        let (ended, stderr) = end(demo, folder.path());
        assert_eq!(ended, Some(code), "{name}: {stderr}");
        assert!(stderr.lines().last().unwrap().contains(words), "{name}: {stderr}");
    }
}

#[test]
fn a_pipe_that_nobody_writes_into_can_be_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(demo(&["--trace", "/dev/stdin"]), folder.path());
    let writer = demo.stdin.take();
    signal(&mut demo, folder.path(), "INT");
    let (ended, stderr) = end(demo, folder.path());
    assert_eq!((ended, stderr.as_str()), (Some(130), "cachectl: interrupted\n"));
    drop(writer);
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_under_nohup_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" demo --seconds 1"]);
    shell.arg(env!("CARGO_BIN_EXE_cachectl"));
    let mut demo = start(shell, folder.path());
    signal(&mut demo, folder.path(), "HUP");
    assert_eq!(end(demo, folder.path()).0, Some(0));
}
