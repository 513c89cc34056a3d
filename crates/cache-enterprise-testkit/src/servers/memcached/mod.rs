//! One memcached server.

mod door;
mod options;
mod saslauthd;

use std::path::Path;

use tempfile::TempDir;

use super::port::Port;
use super::process::{Launch, Process};
use super::program::Program;
pub use options::MemcachedOptions;
use saslauthd::PasswordService;

/// How often another port is tried when somebody else took the one that was free.
const PORTS_TRIED: usize = 5;

/// A memcached server on a port of its own; it ends when it is dropped.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::MemcachedServer;
///
/// let memcached = MemcachedServer::options().item_size_max("512k").start();
/// assert_eq!(memcached.ask("set key 0 0 5\r\nvalue"), "STORED");
/// assert_eq!(memcached.ask("get key"), "VALUE key 0 5\r\nvalue\r\nEND");
/// ```
#[derive(Debug)]
pub struct MemcachedServer {
    // The process goes before what it needs.
    process: Process,
    _passwords: Option<PasswordService>,
    options: MemcachedOptions,
    port: Port,
    _folder: TempDir,
}

impl MemcachedServer {
    /// A server without SASL, with 64 MB and values of up to 1 MB.
    ///
    /// # Panics
    /// When `memcached` is missing (the text is the line that installs it) or the server does not
    /// come up (the text is its log).
    pub fn start() -> Self {
        Self::options().start()
    }

    /// What can be chosen before the start.
    pub fn options() -> MemcachedOptions {
        MemcachedOptions::new()
    }

    fn start_with(options: &MemcachedOptions) -> Self {
        let started = (0..PORTS_TRIED).map(|_| Self::spawn(options.clone()));
        let mut up = started.filter(Self::comes_up);
        up.next().expect("a free port is left to us")
    }

    fn spawn(options: MemcachedOptions) -> Self {
        let program = Program::Memcached.path(options.search_path());
        let folder = tempfile::Builder::new().prefix("memcached-").tempdir();
        let folder = folder.expect("the system has a folder for temporary files");
        let passwords =
            options.account().map(|account| PasswordService::start(folder.path(), account.clone()));
        let port = Port::take(false);
        let process = Process::start(Launch {
            program,
            arguments: options.arguments(port.number()),
            variables: variables(folder.path()),
            folder: folder.path().to_path_buf(),
        });
        MemcachedServer { process, _passwords: passwords, options, port, _folder: folder }
    }

    /// Waits until it is this very process that answers on the port.
    fn comes_up(&self) -> bool {
        let account = self.options.account();
        self.process.await_up(|pid| door::pid_behind(self.port(), account) == Some(pid))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// What the server answers to a command of its text protocol on a connection of its own,
    /// without the last line feed: an answer that owes nothing to the client under test. A server
    /// with SASL does not speak it.
    ///
    /// # Panics
    /// When the server cannot be reached or does not answer in time.
    pub fn ask(&self, command: &str) -> String {
        door::ask(self.port(), command.as_bytes())
            .unwrap_or_else(|e| panic!("asking memcached on port {}: {e}", self.port()))
    }

    /// One figure of the server's statistics, such as `curr_items`.
    ///
    /// # Panics
    /// When the server cannot be reached or keeps no such figure.
    pub fn stat(&self, name: &str) -> u64 {
        let answer = self.ask("stats");
        let line = format!("STAT {name} ");
        let value = answer.lines().find_map(|l| l.strip_prefix(&line)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("memcached keeps no figure {name}:\n{answer}"))
    }

    /// What the server has logged since its first start.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The id of its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it runs: it was neither paused nor killed, and has not ended by itself.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Stops the process where it stands (SIGSTOP): the system keeps its connections and takes new
    /// ones for it, and nothing answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused server go on (SIGCONT).
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills it (SIGKILL). The port stays taken by nobody, so clients are refused.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port, empty, and waits until it answers. One that runs is
    /// killed first.
    ///
    /// # Panics
    /// When it does not come up; the text is its log.
    pub fn restart(&self) {
        self.process.restart();
        assert!(self.comes_up(), "the port of a killed server was taken by somebody else");
    }
}

fn variables(folder: &Path) -> Vec<(String, String)> {
    vec![("SASL_CONF_PATH".to_owned(), folder.display().to_string())]
}
