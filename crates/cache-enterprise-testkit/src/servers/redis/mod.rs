//! One Redis server.

mod cli;
mod configuration;
mod options;

use std::path::PathBuf;

use tempfile::TempDir;

use super::certificates::Certificates;
use super::port::Port;
use super::process::{Launch, Process};
use super::program::Program;
use cli::Cli;
pub(super) use configuration::Role;
pub use options::RedisOptions;

/// How often another port is tried when somebody else took the one that was free.
const PORTS_TRIED: usize = 5;

/// A Redis server on a port and in a folder of its own; it ends when it is dropped.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::RedisServer;
///
/// let redis = RedisServer::options().user("app", "secret").arg("maxmemory", "1mb").start();
/// assert!(redis.url().starts_with("redis://app:secret@127.0.0.1:"));
/// assert_eq!(redis.cli(&["PING"]), "PONG");
/// ```
#[derive(Debug)]
pub struct RedisServer {
    // The process goes before its folder.
    process: Process,
    cli: Cli,
    options: RedisOptions,
    port: Port,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl RedisServer {
    /// A server without passwords and without TLS, that writes nothing to disk.
    ///
    /// # Panics
    /// When `redis-server` or `redis-cli` is missing (the text is the line that installs them) or
    /// the server does not come up (the text is its log).
    pub fn start() -> Self {
        Self::options().start()
    }

    /// What can be chosen before the start.
    pub fn options() -> RedisOptions {
        RedisOptions::new()
    }

    fn start_with(options: RedisOptions) -> Self {
        for _ in 0..PORTS_TRIED {
            let server = Self::spawn(options.clone(), Role::Standalone);
            if server.comes_up() {
                return server;
            }
        }
        panic!("{PORTS_TRIED} free ports were taken by others before redis-server had them");
    }

    /// Starts the process and does not wait for it.
    pub(super) fn spawn(options: RedisOptions, role: Role) -> Self {
        let program = Program::RedisServer.path(options.search_path());
        let cli_program = Program::RedisCli.path(options.search_path());
        let folder = tempfile::Builder::new().prefix("redis-").tempdir();
        let folder = folder.expect("the system has a folder for temporary files");
        let certificates = options.certificates(folder.path());
        let port = Port::take(role == Role::ClusterNode);
        configuration::write(&options, &role, port.number(), certificates.as_ref(), folder.path());
        let process = Process::start(Launch {
            program,
            arguments: configuration::arguments(&role),
            variables: Vec::new(),
            folder: folder.path().to_path_buf(),
        });
        let cli = Cli::new(cli_program, &options, port.number(), certificates.as_ref());
        RedisServer { process, cli, options, port, certificates, folder }
    }

    /// Waits until it is this very process that answers on the port.
    pub(super) fn comes_up(&self) -> bool {
        self.process.await_up(|pid| {
            let answer = self.cli.attempt(&["INFO", "server"]);
            answer.is_some_and(|text| text.contains(&format!("process_id:{pid}\r\n")))
        })
    }

    /// The port it listens on; with TLS it speaks TLS there and has no other.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// `redis://` or `rediss://` with the user and the password that were asked for.
    pub fn url(&self) -> String {
        self.options.url(&self.address())
    }

    /// `redis://` or `rediss://` with the same user and password to another address: that of a
    /// proxy before this server.
    pub fn url_at(&self, address: &str) -> String {
        self.options.url(address)
    }

    /// The PEM files of a server with TLS.
    ///
    /// # Panics
    /// When the server was started without TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the server was started with TLS")
    }

    /// The authority that signed the server's certificate.
    ///
    /// # Panics
    /// When the server was started without TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates().ca_file()
    }

    /// What `redis-cli` prints for a command, without the last line feed: an answer that owes
    /// nothing to the client under test. Errors of the server are text too, such as
    /// `ERR unknown command`.
    ///
    /// # Panics
    /// When the server cannot be reached or does not answer in time.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.cli.run(arguments)
    }

    /// As [`cli`](Self::cli), but nothing when the server cannot be reached: for those who wait
    /// for a server that may be on its way.
    pub(super) fn ask(&self, arguments: &[&str]) -> Option<String> {
        self.cli.attempt(arguments)
    }

    /// Whether it can be reached and its answer contains `text`.
    pub(super) fn answers_with(&self, arguments: &[&str], text: &str) -> bool {
        self.ask(arguments).is_some_and(|answer| answer.contains(text))
    }

    /// The folder the server was started in and writes to.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
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

    /// Asks it to end in good order (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not run before, or still runs after.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Starts it again on the same port and in the same folder, and waits until it answers. One
    /// that runs is killed first.
    ///
    /// # Panics
    /// When it does not come up; the text is its log.
    pub fn restart(&self) {
        self.process.restart();
        assert!(self.comes_up(), "the port of a killed server was taken by somebody else");
    }
}
