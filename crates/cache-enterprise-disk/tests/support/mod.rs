//! What the stories share: keys, values that tell whether they are whole, a process to kill.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bytes::Bytes;
use cache_enterprise_core::{KeySpace, StoredKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIRECTORY: &str = "CACHE_DISK_STORY_DIRECTORY";
const SEED: &str = "CACHE_DISK_STORY_SEED";

pub fn key(number: u64) -> StoredKey {
    KeySpace::new("shop", "acme", "users").unwrap().key(&number).unwrap()
}

/// Bytes without a pattern that belong to `seed` and `length` alone: the seed itself, then a
/// stretch of one pool of random bytes that begins where the seed says.
pub fn value(seed: u64, length: usize) -> Bytes {
    static POOL: OnceLock<Vec<u8>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let mut pool = vec![0; 1 << 20];
        StdRng::seed_from_u64(7).fill(&mut pool[..]);
        pool
    });
    let start = usize::try_from(seed.wrapping_mul(8_191) % (1 << 19)).unwrap();
    let mut bytes = seed.to_le_bytes().to_vec();
    bytes.extend_from_slice(&pool[start..start + length]);
    bytes.truncate(length);
    bytes.into()
}

/// What a story's other process was given, when this is it.
pub fn child_role() -> Option<(PathBuf, u64)> {
    let directory = std::env::var_os(DIRECTORY)?;
    Some((directory.into(), std::env::var(SEED).unwrap().parse().unwrap()))
}

/// The same story in another process; `limits` are shell words to run before it.
pub fn child(story: &str, directory: &Path, seed: u64, limits: &str) -> Command {
    let program: OsString = std::env::current_exe().unwrap().into();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", story, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Writes a line to whoever started this process, and waits until it is on its way.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}
