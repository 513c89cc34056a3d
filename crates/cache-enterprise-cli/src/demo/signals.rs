//! Signals that end a demo early, heard so that its directory can still be removed.

use std::io;

use crate::failure::Failure;

/// Numbers as every Unix gives them to these signals.
#[cfg(unix)]
const HANGUP: u8 = 1;
const INTERRUPT: u8 = 2;
#[cfg(unix)]
const TERMINATE: u8 = 15;

/// What the system may ask of the process.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` under `nohup`.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Hears signals from now on; for use within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let is_ignored = is_ignored(HANGUP);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for a signal, and says what it means for the command.
    pub(crate) async fn next(&mut self) -> Failure {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Failure::ended("interrupted", INTERRUPT),
            _ = self.terminate.recv() => Failure::ended("terminated", TERMINATE),
            _ = hangup => Failure::ended("the terminal hung up", HANGUP),
        }
    }
}

/// Whether the process was started with this signal ignored, as `nohup` does; where the system
/// does not say so in `/proc`, it was not.
#[cfg(unix)]
fn is_ignored(signal: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// What the system may ask of the process.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Nothing has to be set up.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for an interrupt.
    pub(crate) async fn next(&mut self) -> Failure {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Failure::ended("interrupted", INTERRUPT),
            Err(_) => std::future::pending().await,
        }
    }
}
