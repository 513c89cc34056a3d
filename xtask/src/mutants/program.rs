//! Programs under trial, and how they end.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::workspace::{capture, show};

/// The variable in which a build for this command looks for the rule to break.
const BROKEN_RULE: &str = "CACHE_BROKEN_RULE";

/// A test that has not ended by then is one that waits for ever. The tests themselves give up after
/// a minute.
const TEST_TAKES_MOST: Duration = Duration::from_secs(100);

/// What the harness of Rust ends with when a test has failed. A process that crashed or could not
/// begin ends otherwise.
const TESTS_FAILED: i32 = 101;

/// A program and where cargo would run it.
#[derive(Clone)]
pub(super) struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// The program in a message of cargo, if that is about one; `is_test` for one of tests.
    pub(super) fn of(message: &Value, is_test: bool) -> Option<Self> {
        let path = message.get("executable")?.as_str()?;
        let tests = message.get("profile")?.get("test")?.as_bool()?;
        let folder = Path::new(message.get("manifest_path")?.as_str()?).parent()?;
        (tests == is_test).then(|| Program { path: path.into(), folder: folder.into() })
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env_remove(BROKEN_RULE).stdin(Stdio::null());
        command
    }

    /// Whether there is a test of that name.
    pub(super) fn has(&self, test: &str) -> Outcome<bool> {
        let listed = capture(self.command().args(["--exact", test, "--list"]))?;
        Ok(listed.lines().any(|line| line.ends_with(": test")))
    }

    /// How a test ends with `rule` broken.
    pub(super) fn end(&self, test: &str, rule: Option<&str>) -> Outcome<End> {
        let mut command = self.command();
        command.args(["--exact", test]).envs(rule.map(|rule| (BROKEN_RULE, rule)));
        // No pipe: a server that a stopped test leaves behind would hold it open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(End::of(run(&mut command, TEST_TAKES_MOST)?.0))
    }
}

/// How a test ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Passed,
    Failed,
    /// It had to be stopped.
    Endless,
    /// Neither says anything about a rule: a crash, a program that could not begin.
    Other(ExitStatus),
}

impl End {
    fn of(status: Option<ExitStatus>) -> Self {
        match status {
            None => Self::Endless,
            Some(status) if status.success() => Self::Passed,
            Some(status) if status.code() == Some(TESTS_FAILED) => Self::Failed,
            Some(status) => Self::Other(status),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passes"),
            Self::Failed => f.write_str("fails"),
            Self::Endless => write!(f, "does not end in {} s", TEST_TAKES_MOST.as_secs()),
            Self::Other(status) => write!(f, "ends with {status}"),
        }
    }
}

/// Runs `command` for at most `limit`: how it ended, `None` where it had to be stopped, and what it
/// wrote where its stdout is a pipe.
pub(super) fn run(command: &mut Command, limit: Duration) -> Outcome<(Option<ExitStatus>, String)> {
    let shown = show(command);
    let mut child = command.spawn().map_err(Failure::of(format!("starting `{shown}`")))?;
    // Read beside the wait: a full pipe would hold the program up.
    let reader = child.stdout.take().map(|mut stdout| {
        thread::spawn(move || {
            let mut told = Vec::new();
            stdout.read_to_end(&mut told).map(|_| told)
        })
    });
    let status =
        end_of(&mut child, limit).map_err(Failure::of(format!("waiting for `{shown}`")))?;
    let told = match reader.map(thread::JoinHandle::join) {
        Some(Ok(told)) => told.map_err(Failure::of(format!("reading `{shown}`")))?,
        Some(Err(_)) => return Err(Failure::new(format!("reading `{shown}` panicked"))),
        None => Vec::new(),
    };
    Ok((status, String::from_utf8_lossy(&told).into_owned()))
}

/// How a process ended; `None` for one that had to be stopped.
fn end_of(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::process::ExitStatusExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_harness_says_is_a_failed_test() {
        let exit = |code: i32| Some(ExitStatus::from_raw(code << 8));
        assert_eq!(End::of(exit(0)), End::Passed);
        assert_eq!(End::of(exit(101)), End::Failed);
        assert_eq!(End::of(exit(1)).to_string(), "ends with exit status: 1");
        let aborted = End::of(Some(ExitStatus::from_raw(6))).to_string();
        assert!(aborted.starts_with("ends with signal: 6"), "{aborted}");
        assert_eq!(End::of(None).to_string(), "does not end in 100 s");
    }

    #[test]
    fn a_program_over_its_limit_is_stopped() {
        let mut waits = Command::new("cat");
        let (status, told) =
            run(waits.stdin(Stdio::piped()).stdout(Stdio::piped()), Duration::ZERO).unwrap();
        assert_eq!((status, told.as_str()), (None, ""));
    }

    #[test]
    fn what_a_program_writes_is_read_to_its_end() {
        let mut speaks = Command::new("echo");
        let (status, told) = run(speaks.arg("x").stdout(Stdio::piped()), TEST_TAKES_MOST).unwrap();
        assert!(status.unwrap().success());
        assert_eq!(told, "x\n");
    }

    #[test]
    fn tests_and_binaries_of_a_package_are_told_apart() {
        let message = |is_test: bool| json!({"executable": "/t/a", "profile": {"test": is_test}, "manifest_path": "/r/Cargo.toml"});
        assert!(Program::of(&message(true), true).is_some());
        assert!(Program::of(&message(false), true).is_none());
        assert!(Program::of(&message(false), false).is_some());
        assert!(Program::of(&json!({"reason": "build-finished"}), false).is_none());
    }
}
