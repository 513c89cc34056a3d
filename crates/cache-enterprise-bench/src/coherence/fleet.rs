//! The side of a fleet that tells its members what to do.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;

use super::member::MEMBER;

/// One child process. Its errors stand on stderr.
pub(super) struct Member {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Member {
    /// Starts a member on one server, by its URL, or on a cluster, by its addresses.
    pub(super) fn start(servers: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(MEMBER).args(servers).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("the member has an input")?;
        let output = child.stdout.take().ok_or("the member has an output")?;
        let mut member = Self { child, input, output: BufReader::new(output) };
        match &*member.answer()? {
            "ready" => Ok(member),
            other => Err(format!("a member began with `{other}`").into()),
        }
    }

    /// The member begins at once; its answer must be taken before the next command.
    pub(super) fn begin(&mut self, command: &str) -> Result<(), Box<dyn Error>> {
        Ok(writeln!(self.input, "{command}")?)
    }

    pub(super) fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a member ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// The numbers of the answer.
    pub(super) fn numbers<T>(&mut self) -> Result<Vec<T>, Box<dyn Error>>
    where
        T: FromStr<Err: Error + 'static>,
    {
        let answer = self.answer()?;
        let numbers: Result<Vec<T>, _> = answer.split_whitespace().map(str::parse).collect();
        Ok(numbers?)
    }

    pub(super) fn number(&mut self) -> Result<u64, Box<dyn Error>> {
        Ok(*self.numbers()?.first().ok_or("a member answered without a number")?)
    }

    pub(super) fn ask(&mut self, command: &str) -> Result<String, Box<dyn Error>> {
        self.begin(command)?;
        self.answer()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
