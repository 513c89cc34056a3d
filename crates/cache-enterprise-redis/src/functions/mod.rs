//! What runs at the server, as functions or as scripts.
//!
//! Redis 7 keeps functions: loaded once, replicated and saved with the data. Redis 6.2 has scripts
//! alone, which a restart or a failover forgets. Both are named by a hash of their code, so that
//! versions of this crate can share a server, and both are loaded when the server says that it
//! does not know them, which needs no thought about what it went through.
//!
//! Whether a server has functions is asked with a call of none. To a command it does not know it
//! answers with the arguments it got, and ours are bytes that no error can be read from.

mod code;
mod values;

use std::sync::atomic::{AtomicU8, Ordering};

use cache_enterprise_core::{Error, ErrorKind, Result};
use redis::{Cmd, Value};

use crate::error;
use crate::link::{Call, Link};

pub(crate) use code::Function;
use code::{CODES, Code, LIBRARY};
pub(crate) use values::{Record, Request, ValueCall, millis, removal};

/// How often a call is made: a server without functions says so, one without the script says so,
/// and one may lose twice what was just loaded.
const ATTEMPTS_MAX: usize = 5;

/// A call of a function.
pub(crate) trait Invoke: Sync {
    fn function(&self) -> Function;

    /// The slot of all its keys.
    fn slot(&self) -> u16;

    /// Appends the number of keys, the keys, and the arguments.
    fn write(&self, command: &mut Cmd);

    /// Bytes of the value in it.
    fn payload(&self) -> usize {
        0
    }
}

/// The functions of one topology.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// A [`Form`], or zero while it is not known.
    form: AtomicU8,
}

/// What a call is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    Functions = 1,
    Scripts = 2,
}

const UNKNOWN: u8 = 0;
/// No function has this name.
const NOBODY: &str = "cache_enterprise_nobody";

/// Who the calls are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Shared,
    /// A connection of their own; the calls are of one slot.
    Bound,
}

impl Functions {
    /// Calls one function.
    pub(crate) async fn call(&self, link: &Link, invoked: &impl Invoke) -> Result<Value> {
        for _ in 0..ATTEMPTS_MAX {
            let form = self.form(link, invoked.slot()).await?;
            match link.call(&prepared(invoked, form)).await {
                Err(fault) => self.mend(link, invoked.slot(), fault, form).await?,
                answer => return answer,
            }
        }
        Err(forgetful())
    }

    /// Calls several functions; their answers in the order of the calls. What `after` gives is sent
    /// behind them each time.
    pub(crate) async fn call_all(
        &self,
        link: &Link,
        invoked: &[impl Invoke],
        over: Over,
        after: impl Fn() -> Option<Call>,
    ) -> Result<(Vec<Value>, Option<Value>)> {
        let Some(first) = invoked.first() else { return Ok((Vec::new(), None)) };
        let mut given = vec![None; invoked.len()];
        for _ in 0..ATTEMPTS_MAX {
            let form = self.form(link, first.slot()).await?;
            let open: Vec<_> = (0..invoked.len()).filter(|at| given[*at].is_none()).collect();
            let calls = open.iter().map(|at| prepared(&invoked[*at], form));
            let calls: Vec<_> = calls.chain(after()).collect();
            let mut answers = match over {
                Over::Shared => link.call_all(&calls).await?,
                Over::Bound => link.call_bound(&calls).await?,
            };
            let last = if answers.len() > open.len() { answers.pop() } else { None };
            let mut faults = Vec::new();
            for (at, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(answer) => given[at] = Some(answer),
                    Err(fault) => faults.push((link.node(invoked[at].slot()), at, fault)),
                }
            }
            // What one server did not know, another one may; each is told once.
            faults.sort_unstable_by_key(|(node, at, _)| (*node, *at));
            faults.dedup_by_key(|(node, ..)| *node);
            let is_done = faults.is_empty();
            for (_, at, fault) in faults {
                self.mend(link, invoked[at].slot(), fault, form).await?;
            }
            if is_done {
                return Ok((given.into_iter().flatten().collect(), last.transpose()?));
            }
        }
        Err(forgetful())
    }

    /// What calls are sent as at the moment.
    async fn form(&self, link: &Link, slot: u16) -> Result<Form> {
        match self.form.load(Ordering::Relaxed) {
            UNKNOWN => Box::pin(self.ask_form(link, slot)).await,
            form if form == Form::Scripts as u8 => Ok(Form::Scripts),
            _ => Ok(Form::Functions),
        }
    }

    #[cold]
    async fn ask_form(&self, link: &Link, slot: u16) -> Result<Form> {
        let mut command = redis::cmd("FCALL");
        command.arg(NOBODY).arg(0);
        let form = match link.call(&Call { slot, command, payload: 0 }).await {
            Err(fault) if error::is_unknown_command(&fault) => Form::Scripts,
            Err(fault) if !error::is_unknown_code(&fault) => return Err(fault),
            _ => Form::Functions,
        };
        self.form.store(form as u8, Ordering::Relaxed);
        Ok(form)
    }

    /// Loads what the server did not know when it was sent in this form, or gives the fault back.
    async fn mend(&self, link: &Link, slot: u16, fault: Error, form: Form) -> Result<()> {
        if !error::is_unknown_code(&fault) {
            if !fault.context().any(|(name, _)| name == "code") {
                // No answer, or none that can be read: perhaps another server by now.
                self.form.store(UNKNOWN, Ordering::Relaxed);
            }
            return Err(fault);
        }
        let loads = match form {
            Form::Functions => {
                let mut command = redis::cmd("FUNCTION");
                command.arg("LOAD").arg(LIBRARY.as_str());
                vec![command]
            }
            Form::Scripts => {
                let load = |code: &Code| {
                    let mut command = redis::cmd("SCRIPT");
                    command.arg("LOAD").arg(code.script.as_str());
                    command
                };
                CODES.iter().map(load).collect()
            }
        };
        for command in loads {
            match link.load(slot, &command).await {
                // Somebody else was faster.
                Err(fault) if error::is_already_loaded(&fault) => {}
                answer => drop(answer?),
            }
        }
        Ok(())
    }
}

fn prepared(invoked: &impl Invoke, form: Form) -> Call {
    let code = invoked.function().code();
    let payload = invoked.payload();
    let mut command = Cmd::with_capacity(8, 256 + payload);
    match form {
        Form::Functions => command.arg("FCALL").arg(code.function.as_str()),
        Form::Scripts => command.arg("EVALSHA").arg(code.hash.as_str()),
    };
    invoked.write(&mut command);
    Call { slot: invoked.slot(), command, payload }
}

/// The number that a function gave.
pub(crate) fn number(answer: Value) -> Result<i64> {
    match answer {
        Value::Int(number) => Ok(number),
        _ => Err(error::strange_reply()),
    }
}

fn forgetful() -> Error {
    let text = "the server forgets its functions faster than they are loaded";
    Error::new(ErrorKind::Unavailable, text)
}
