//! `lab`: recorded requests through the policies that serve. Called by `cargo xtask simulate`,
//! which builds it; `docs/strategies.md` says how to read what it prints.

// A command-line tool speaks on stdout and stderr; the workspace denies both to libraries.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod bars;
mod contestant;
mod plot;
mod report;
mod session;
mod sources;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;

/// A failure is a sentence for the person at the terminal.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = Arguments::parse(std::env::args_os().skip(1)).and_then(|arguments| {
        if arguments.is_help {
            print!("{}", arguments::HELP);
            return Ok(());
        }
        session::run(&arguments)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::FAILURE
        }
    }
}
