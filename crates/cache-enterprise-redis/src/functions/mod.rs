//! What runs at the server: compare and set, as functions or as scripts.
//!
//! Redis 7 keeps functions: loaded once, replicated and saved with the data. Redis 6.2 has scripts
//! alone, which a restart or a failover forgets. Both are named by a hash of their code, so that
//! versions of this crate can share a server, and both are loaded when the server says that it
//! does not know them, which needs no thought about what it went through.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use cache_enterprise_core::{Error, Result, Sequence, StoredKey, saturating_millis};
use redis::{Cmd, RedisWrite, ToRedisArgs, Value};
use twox_hash::XxHash3_64;

use crate::error;
use crate::key::RedisKey;
use crate::link::{Call, Link};
use crate::record;

const CODE: &str = include_str!("functions.lua");
/// How often a call is made: a server without functions says so, one without the script says so,
/// and one may lose twice what was just loaded.
const ATTEMPTS_MAX: usize = 5;
/// A life from here on is endless: Redis counts in milliseconds and 64 bits.
const LIFE_MS_MAX: u64 = 1 << 53;

/// A function and what it is called with.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Put { version: Sequence, value: Bytes, life: Option<Duration> },
    Remove { at: Sequence },
    Touch { life: Duration },
}

/// The functions of one backend.
#[derive(Debug)]
pub(crate) struct Functions {
    /// The server knows no functions.
    as_scripts: AtomicBool,
    /// Life of a removal in milliseconds.
    removal: String,
}

/// What a call is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Functions,
    Scripts,
}

/// Who the calls are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Shared,
    /// A connection of their own; the calls are of one key.
    Bound,
}

impl Functions {
    pub(crate) fn new(tombstone_life: Duration) -> Self {
        let removal = saturating_millis(tombstone_life).clamp(1, LIFE_MS_MAX).to_string();
        Self { as_scripts: AtomicBool::new(false), removal }
    }

    /// Calls one function; its number.
    pub(crate) async fn call(
        &self,
        link: &Link,
        key: &StoredKey,
        request: &Request,
    ) -> Result<i64> {
        for _ in 0..ATTEMPTS_MAX {
            let form = self.form();
            match number(link.call(&self.prepared(key, request, form)).await) {
                Err(fault) => self.mend(link, key, fault, form).await?,
                number => return number,
            }
        }
        Err(forgetful())
    }

    /// Calls a function for each request; their numbers, in their order. What `after` gives is
    /// sent behind them each time.
    pub(crate) async fn call_all(
        &self,
        link: &Link,
        requests: &[(StoredKey, Request)],
        over: Over,
        after: impl Fn() -> Option<Call>,
    ) -> Result<(Vec<i64>, Option<Value>)> {
        let mut numbers = vec![None; requests.len()];
        for _ in 0..ATTEMPTS_MAX {
            let form = self.form();
            let open: Vec<_> = (0..requests.len()).filter(|at| numbers[*at].is_none()).collect();
            let mut calls: Vec<_> = open
                .iter()
                .map(|at| self.prepared(&requests[*at].0, &requests[*at].1, form))
                .chain(after())
                .collect();
            let mut answers = match over {
                Over::Shared => link.call_all(&calls).await?,
                Over::Bound => link.call_bound(&calls).await?,
            };
            let last = if answers.len() > open.len() { answers.pop() } else { None };
            calls.truncate(open.len());
            let mut faults = Vec::new();
            for (at, answer) in open.into_iter().zip(answers) {
                match number(answer) {
                    Ok(number) => numbers[at] = Some(number),
                    Err(fault) => faults.push((link.node(&requests[at].0), at, fault)),
                }
            }
            // What one server did not know, another one may; each is told once.
            faults.sort_unstable_by_key(|(node, at, _)| (*node, *at));
            faults.dedup_by_key(|(node, ..)| *node);
            let is_done = faults.is_empty();
            for (_, at, fault) in faults {
                self.mend(link, &requests[at].0, fault, form).await?;
            }
            if is_done {
                return Ok((numbers.into_iter().flatten().collect(), last.transpose()?));
            }
        }
        Err(forgetful())
    }

    /// What calls are sent as at the moment.
    fn form(&self) -> Form {
        if self.as_scripts.load(Ordering::Relaxed) { Form::Scripts } else { Form::Functions }
    }

    /// Loads what the server did not know when it was sent in this form, or gives the fault back.
    async fn mend(&self, link: &Link, key: &StoredKey, fault: Error, form: Form) -> Result<()> {
        if error::is_unknown_command(&fault) && form == Form::Functions {
            self.as_scripts.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if !error::is_unknown_code(&fault) {
            return Err(fault);
        }
        let loads = match form {
            Form::Functions => {
                let mut command = redis::cmd("FUNCTION");
                command.arg("LOAD").arg(LIBRARY.as_str());
                vec![command]
            }
            Form::Scripts => {
                let load = |function: &Code| {
                    let mut command = redis::cmd("SCRIPT");
                    command.arg("LOAD").arg(function.script.as_str());
                    command
                };
                FUNCTIONS.iter().map(load).collect()
            }
        };
        for command in loads {
            match link.load(key, &command).await {
                // Somebody else was faster.
                Err(fault) if error::is_already_loaded(&fault) => {}
                answer => drop(answer?),
            }
        }
        Ok(())
    }

    fn prepared(&self, key: &StoredKey, request: &Request, form: Form) -> Call {
        let code = &FUNCTIONS[request.number()];
        let mut command = Cmd::with_capacity(8, 256 + 2 * key.len() + request.payload());
        match form {
            Form::Functions => command.arg("FCALL").arg(code.function.as_str()),
            Form::Scripts => command.arg("EVALSHA").arg(code.hash.as_str()),
        };
        command.arg(1).arg(RedisKey::of(key));
        match request {
            Request::Put { version, value, life } => {
                command.arg(Record(*version, value)).arg(millis(*life))
            }
            Request::Remove { at } => command.arg(record::version(*at).as_slice()),
            Request::Touch { life } => command.arg(millis(Some(*life))),
        };
        command.arg(self.removal.as_str());
        Call { key: key.clone(), command, payload: request.payload() }
    }
}

impl Request {
    fn number(&self) -> usize {
        match self {
            Self::Put { .. } => 0,
            Self::Remove { .. } => 1,
            Self::Touch { .. } => 2,
        }
    }

    /// Bytes of the value in it.
    pub(crate) fn payload(&self) -> usize {
        match self {
            Self::Put { value, .. } => value.len(),
            Self::Remove { .. } | Self::Touch { .. } => 0,
        }
    }
}

/// One function under its names.
struct Code {
    function: String,
    script: String,
    hash: String,
}

/// In the order of [`Request::number`]. Under a server without memory a removal still runs.
static FUNCTIONS: LazyLock<[Code; 3]> = LazyLock::new(|| {
    ["put", "remove", "touch"].map(|name| {
        let script = format!("{CODE}\nreturn {name}(KEYS, ARGV)\n");
        let hash = redis::Script::new(&script).get_hash().to_owned();
        Code { function: format!("cache_enterprise_{}_{name}", digest()), script, hash }
    })
});

static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    let flags = ["", ", flags = {'allow-oom'}", ", flags = {'allow-oom'}"];
    let mut library = format!("#!lua name=cache_enterprise_{}\n{CODE}\n", digest());
    for ((code, name), flags) in FUNCTIONS.iter().zip(["put", "remove", "touch"]).zip(flags) {
        let function = &code.function;
        library.push_str(&format!(
            "redis.register_function{{function_name = '{function}', callback = {name}{flags}}}\n"
        ));
    }
    library
});

fn digest() -> String {
    format!("{:016x}", XxHash3_64::oneshot(CODE.as_bytes()))
}

/// Head and value, written into a command without a copy in between.
struct Record<'a>(Sequence, &'a Bytes);

impl ToRedisArgs for Record<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.bufmut_for_next_arg(record::HEAD_BYTES + self.1.len());
        argument.put_slice(&record::head(self.0));
        argument.put_slice(self.1);
    }
}

/// A life as functions take it.
fn millis(life: Option<Duration>) -> String {
    match life.map(saturating_millis) {
        Some(millis) if millis < LIFE_MS_MAX => millis.to_string(),
        _ => String::new(),
    }
}

fn number(answer: Result<Value>) -> Result<i64> {
    match answer? {
        Value::Int(number) => Ok(number),
        _ => Err(error::strange_reply()),
    }
}

fn forgetful() -> Error {
    Error::new(
        cache_enterprise_core::ErrorKind::Unavailable,
        "the server forgets its functions faster than they are loaded",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_names_of_its_own_that_hang_on_the_code() {
        let names: Vec<_> = FUNCTIONS.iter().map(|code| &code.function).collect();
        assert!(names.iter().all(|name| name.contains(&digest())));
        assert!(names.iter().all(|name| LIBRARY.contains(&format!("'{name}'"))));
        assert!(FUNCTIONS[0].hash != FUNCTIONS[1].hash && FUNCTIONS[0].hash.len() == 40);
    }

    #[test]
    fn a_life_is_whole_milliseconds_or_endless() {
        assert_eq!(millis(None), "");
        assert_eq!(millis(Some(Duration::MAX)), "");
        assert_eq!(millis(Some(Duration::ZERO)), "0");
        assert_eq!(millis(Some(Duration::from_nanos(1))), "1");
        assert_eq!(millis(Some(Duration::from_secs(30 * 86_400))), "2592000000");
    }
}
