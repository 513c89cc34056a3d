//! Commands through `redis-cli`, each with an end: a server that hangs must not hang its judge.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::options::RedisOptions;
use crate::servers::certificates::Certificates;
use crate::wait;

/// How one server is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Cli {
    program: PathBuf,
    arguments: Vec<String>,
    password: Option<String>,
}

impl Cli {
    pub(super) fn new(
        program: PathBuf,
        options: &RedisOptions,
        port: u16,
        certificates: Option<&Certificates>,
    ) -> Self {
        let mut arguments = vec!["-h".into(), "127.0.0.1".into(), "-p".into(), port.to_string()];
        if let Some(user) = options.user_name() {
            arguments.extend(["--user".into(), user.to_owned()]);
        }
        if let Some(certificates) = certificates {
            let file = |path: &Path| path.display().to_string();
            arguments.push("--tls".into());
            arguments.extend(["--cacert".into(), file(&certificates.ca_file())]);
            arguments.extend(["--cert".into(), file(&certificates.client_certificate_file())]);
            arguments.extend(["--key".into(), file(&certificates.client_key_file())]);
        }
        Cli { program, arguments, password: options.password_text().map(str::to_owned) }
    }

    /// The answer to a command; a panic when there is none.
    pub(super) fn run(&self, command: &[&str]) -> String {
        match self.answer(command) {
            (Some(status), stdout, _) if status.success() => stdout,
            (Some(_), stdout, stderr) => panic!("redis-cli {command:?}: {stdout}{stderr}"),
            (None, ..) => panic!("redis-cli {command:?}: no answer in {:?}", wait::PATIENCE),
        }
    }

    /// The answer to a command; nothing when the server cannot be reached.
    pub(super) fn attempt(&self, command: &[&str]) -> Option<String> {
        let (status, stdout, _) = self.answer(command);
        status.filter(ExitStatus::success).map(|_| stdout)
    }

    /// How it ended, unless it had to be killed, and what it wrote to its two outputs.
    fn answer(&self, command: &[&str]) -> (Option<ExitStatus>, String, String) {
        let mut child = self.spawn(command);
        let mut stdout = child.stdout.take().expect("the output is a pipe");
        let mut stderr = child.stderr.take().expect("the errors are a pipe");
        thread::scope(|scope| {
            let stdout = scope.spawn(move || read(&mut stdout));
            let stderr = scope.spawn(move || read(&mut stderr));
            let mut status = None;
            let ended = wait::holds_within(wait::PATIENCE, || {
                status = child.try_wait().expect("a child can be asked");
                status.is_some()
            });
            if !ended {
                let _ = child.kill();
                let _ = child.wait();
            }
            let text = |text: thread::ScopedJoinHandle<'_, String>| {
                text.join().expect("the reader only reads")
            };
            (status, text(stdout), text(stderr))
        })
    }

    fn spawn(&self, command: &[&str]) -> Child {
        let mut program = Command::new(&self.program);
        if let Some(password) = &self.password {
            program.env("REDISCLI_AUTH", password);
        }
        program
            .args(&self.arguments)
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("starting redis-cli: {e}"))
    }
}

fn read(pipe: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("a pipe can be read");
    let text = String::from_utf8_lossy(&bytes);
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}
