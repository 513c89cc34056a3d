//! One server process: started, paused, killed and started again by its id, gone with its test.
//!
//! Dropping a [`Process`] ends the server, also when a test panics. A test process that is killed
//! drops nothing. Therefore each server has a guardian: a shell that reads from a pipe of which
//! the test process holds the other end. When that process is gone, however it went, the pipe
//! ends, and the guardian ends the server and removes its folder. Both run in process groups of
//! their own, so that an interrupt at the terminal reaches the test process alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::wait;

/// How long a server may take to answer after its start. Machines that test are busy machines.
pub(super) const START_UP: Duration = Duration::from_secs(60);

/// Reads until the pipe ends, lets a paused server go on so that it can die, kills it.
const GUARD: &str = r#"read -r _; kill -s CONT "$1"; kill -s KILL "$1"; rm -rf -- "$2""#;

/// How a server is started, each time in the same way.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    /// The server's own folder: it is started there, its log lies there, it goes with the server.
    pub(super) folder: PathBuf,
}

/// A server that may run, hang or be dead.
#[derive(Debug)]
pub(super) struct Process {
    launch: Launch,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    guardian: Child,
    is_paused: bool,
}

impl Process {
    /// Starts the server and does not wait for it.
    pub(super) fn start(launch: Launch) -> Self {
        let running = Mutex::new(Some(Running::start(&launch)));
        Process { launch, running }
    }

    /// Waits until `answers`; a panic with the server's log when it does not come up. Says whether
    /// the server runs: it does not when somebody else took its port.
    pub(super) fn await_up(&self, mut answers: impl FnMut(u32) -> bool) -> bool {
        let up = wait::holds_within(START_UP, || !self.is_alive() || answers(self.pid()));
        let alive = self.is_alive();
        if up && alive {
            return true;
        }
        let log = self.log();
        if !alive && log.contains("Address already in use") {
            return false;
        }
        let how = if alive { "does not answer" } else { "ended" };
        panic!("{} {how}; its log:\n{log}", self.name());
    }

    /// The id of the running process.
    pub(super) fn pid(&self) -> u32 {
        let running = self.running.lock();
        let running = running.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name()));
        running.child.id()
    }

    /// Whether it was started, has not ended and is not paused.
    pub(super) fn is_running(&self) -> bool {
        self.is_alive() && self.running.lock().as_ref().is_some_and(|running| !running.is_paused)
    }

    /// Stops it, and waits until none of its threads runs: a signal that was sent has not arrived,
    /// and on a busy machine a server goes on answering for a while.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP, true);
        let running = self.running.lock();
        let running = running.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name()));
        await_stop(&running.child).unwrap_or_else(|e| panic!("pausing {}: {e}", self.name()));
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::CONT, false);
    }

    /// Kills it where it stands; nothing when it is dead.
    pub(super) fn kill(&self) {
        drop(self.running.lock().take());
    }

    /// Asks it to end in good order, and waits until it has.
    pub(super) fn terminate(&self) {
        self.resume();
        self.signal(Signal::TERM, false);
        let ended = wait::holds_within(START_UP, || !self.is_alive());
        assert!(ended, "{} did not end; its log:\n{}", self.name(), self.log());
        self.kill();
    }

    /// Kills it if it runs, and starts it as before.
    pub(super) fn restart(&self) {
        let mut running = self.running.lock();
        drop(running.take());
        *running = Some(Running::start(&self.launch));
    }

    /// What the server has said in all its lives.
    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(log_file(&self.launch.folder)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the process is there. One that has ended by itself is let go with its guardian:
    /// from here on its id may be another's.
    fn is_alive(&self) -> bool {
        let mut running = self.running.lock();
        let alive = running.as_mut().is_some_and(|r| matches!(r.child.try_wait(), Ok(None)));
        if !alive {
            drop(running.take());
        }
        alive
    }

    fn signal(&self, signal: Signal, pauses: bool) {
        assert!(self.is_alive(), "{} does not run", self.name());
        // Nobody else waits for the process, so its id stays its own while the lock is held.
        let mut running = self.running.lock();
        let running = running.as_mut().unwrap_or_else(|| panic!("{} does not run", self.name()));
        running.is_paused = pauses;
        send(&running.child, signal)
            .unwrap_or_else(|e| panic!("sending {signal:?} to {}: {e}", self.name()));
    }

    fn name(&self) -> String {
        self.launch.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Running {
    fn start(launch: &Launch) -> Self {
        let started = || -> io::Result<Self> {
            let log = OpenOptions::new().create(true).append(true).open(log_file(&launch.folder));
            let child = spawn_server(launch, log?)?;
            let guardian = spawn_guardian(&child, &launch.folder)?;
            Ok(Running { child, guardian, is_paused: false })
        };
        started().unwrap_or_else(|e| panic!("starting {}: {e}", launch.program.display()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is sent to a process that has been waited for: the id may be another's.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The guardian goes last: it must not find its pipe ended while the id may be another's.
        let _ = self.guardian.kill();
        let _ = self.guardian.wait();
    }
}

fn spawn_server(launch: &Launch, log: File) -> io::Result<Child> {
    Command::new(&launch.program)
        .args(&launch.arguments)
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

fn spawn_guardian(server: &Child, folder: &Path) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", GUARD, "guardian", &server.id().to_string()])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

fn send(child: &Child, signal: Signal) -> io::Result<()> {
    kill_process(pid_of(child), signal).map_err(io::Error::from)
}

/// Waits until the child was stopped as a whole, or has ended; whoever waits for it later learns
/// the same.
fn await_stop(child: &Child) -> io::Result<()> {
    let how = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid_of(child)), how)?;
    Ok(())
}

fn pid_of(child: &Child) -> Pid {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.expect("the id of a child is a positive number")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}
