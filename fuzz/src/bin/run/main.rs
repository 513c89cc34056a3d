//! Runs fuzz bodies on stable Rust: each input of the corpus, then mutations of them until time
//! is up.
//!
//! ```text
//! run [--seconds N] [--target NAME]... [--seed N] [--keep FILE]
//! ```
//!
//! A broken rule ends the run with the input in hexadecimal. With `--keep` each input is written to
//! a file before it is run, which shows the one that took the whole process with it.

#![forbid(unsafe_code)]

mod mutate;

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use cache_enterprise_fuzz::{TARGETS, Target};
use mutate::Mutator;

/// Less than a thread gets by default, so that a body that nests too deep shows.
const STACK_BYTES: usize = 1 << 20;

#[derive(Clone)]
struct Options {
    seconds: u64,
    targets: Vec<String>,
    seed: u64,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let is_chosen = |name| options.targets.is_empty() || options.targets.iter().any(|t| t == name);
    let mut is_sound = true;
    for target in TARGETS.into_iter().filter(|target| is_chosen(target.name)) {
        let name = target.name;
        let options = options.clone();
        let body =
            thread::Builder::new().stack_size(STACK_BYTES).spawn(move || run(&target, &options));
        match body.map(|thread| thread.join()) {
            Ok(Ok(Ok(inputs))) => println!("{name}: {inputs} inputs, no rule broken"),
            Ok(Ok(Err(problem))) => {
                eprintln!("{name}: {problem}");
                is_sound = false;
            }
            Ok(Err(_)) | Err(_) => {
                eprintln!("{name}: the runner itself failed");
                is_sound = false;
            }
        }
    }
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 5, targets: Vec::new(), seed: 1, keep: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} takes a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} takes a number"));
        match name.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--keep" => options.keep = Some(value.into()),
            "--target" if TARGETS.iter().any(|target| target.name == value) => {
                options.targets.push(value);
            }
            "--target" => {
                let known = TARGETS.map(|target| target.name).join(", ");
                return Err(format!("no target is called {value}; there are {known}"));
            }
            _ => return Err(format!("{name} is not known; see the head of this program")),
        }
    }
    Ok(options)
}

/// Runs one body and counts its inputs.
fn run(target: &Target, options: &Options) -> Result<u64, String> {
    let corpus = corpus(target.name).map_err(|error| format!("cannot read the corpus: {error}"))?;
    if corpus.is_empty() {
        return Err("the corpus is empty".to_owned());
    }
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut inputs = 0;
    for input in &corpus {
        check(target, input, options)?;
        inputs += 1;
    }
    let mut mutator = Mutator::new(options.seed, corpus);
    while Instant::now() < end {
        // The clock costs more than a short input.
        for _ in 0..64 {
            check(target, mutator.next(), options)?;
            inputs += 1;
        }
    }
    Ok(inputs)
}

fn corpus(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths = fs::read_dir(directory)?
        .map(|file| file.map(|file| file.path()))
        .collect::<io::Result<Vec<_>>>()?;
    // The order of a directory is not the same everywhere; a seed must give the same run.
    paths.sort();
    paths.iter().map(fs::read).collect()
}

fn check(target: &Target, input: &[u8], options: &Options) -> Result<(), String> {
    if let Some(path) = &options.keep {
        fs::write(path, input).map_err(|error| format!("cannot write the input: {error}"))?;
    }
    panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("a rule is broken (seed {}) by the input {hex}", options.seed)
    })
}
