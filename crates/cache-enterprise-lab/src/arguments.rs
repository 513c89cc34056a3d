//! What the command line asks for.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use cache_enterprise_workload::simulate::FRACTIONS;
use cache_enterprise_workload::trace_stem;

use crate::Outcome;

/// How the command is called.
pub(crate) const HELP: &str = "\
cargo xtask simulate [FILE...] [--traces DIR] [--strategy A,B] [--fraction F,G] [--store]
                     [--plot FILE.svg] [--json | --bars CSV]

  FILE            a .ctr.zst trace, a CSV with a header key[,time,size,tenant] or an access log
  --traces DIR    every .ctr.zst in DIR
  --strategy A,B  these alone; default: every policy, and what serves by default
  --fraction F,G  shares of the unique objects that fit, over 0 and up to 1; cells of under 32
                  objects are left out; default: 0.001,0.01,0.1,0.3
  --store         through the store that serves: its default shards, two threads
  --plot FILE.svg draws miss ratios over capacities, a panel a trace
  --json          a JSON object a line
  --bars CSV      one table instead: scores beside their bars on the public traces, with the
                  reference.csv that comes with them
";

/// A parsed command line.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The files to replay, in the order they were given, those of a directory sorted by name.
    pub(crate) files: Vec<PathBuf>,
    /// Names of strategies; empty for all.
    pub(crate) strategies: Vec<String>,
    /// Shares of the unique objects, each over 0 and up to 1.
    pub(crate) fractions: Vec<f64>,
    /// Whether policies run in the store that serves.
    pub(crate) is_store: bool,
    /// Where to draw.
    pub(crate) plot: Option<PathBuf>,
    /// The reference to compare with, where bars were asked for.
    pub(crate) bars: Option<PathBuf>,
    /// Whether lines are JSON.
    pub(crate) is_json: bool,
    /// Whether only the help was asked for.
    pub(crate) is_help: bool,
}

impl Arguments {
    /// Reads the words after the program's name. Directories are listed, no file is opened.
    ///
    /// # Errors
    /// A sentence on the word that does not fit, or on nothing to replay.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Outcome<Self> {
        let mut arguments = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = |what: &str| words.next().ok_or(format!("{what} is missing"));
            match word.to_str() {
                Some("--help" | "-h") => return Ok(Self { is_help: true, ..Self::default() }),
                Some("--json") => arguments.is_json = true,
                Some("--store") => arguments.is_store = true,
                Some("--traces") => {
                    let directory = value("the directory after --traces")?;
                    arguments.files.extend(traces_in(Path::new(&directory))?);
                }
                Some("--bars") => {
                    arguments.bars = Some(value("the file after --bars")?.into());
                }
                Some("--plot") => {
                    arguments.plot = Some(value("the file after --plot")?.into());
                }
                Some("--strategy") => {
                    let names = value("the names after --strategy")?;
                    arguments.strategies.extend(list(&names)?);
                }
                Some("--fraction") => {
                    for text in list(&value("the numbers after --fraction")?)? {
                        arguments.fractions.push(fraction(&text)?);
                    }
                }
                Some(other) if other.starts_with('-') => {
                    return Err(format!("`{other}` is no option\n\n{HELP}").into());
                }
                _ => arguments.files.push(PathBuf::from(word)),
            }
        }
        if arguments.files.is_empty() {
            return Err(format!("no file to replay\n\n{HELP}").into());
        }
        if arguments.is_json && arguments.bars.is_some() {
            return Err("--json and --bars print different things: give one of them".into());
        }
        if arguments.fractions.is_empty() {
            arguments.fractions = FRACTIONS.to_vec();
        }
        Ok(arguments)
    }
}

/// Every trace in the directory by name; other files there are none of our business.
fn traces_in(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let cannot = |error| format!("cannot list {}: {error}", directory.display());
    let mut traces = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if trace_stem(&path).is_some() {
            traces.push(path);
        }
    }
    if traces.is_empty() {
        return Err(format!("{} holds no .ctr.zst file", directory.display()).into());
    }
    traces.sort();
    Ok(traces)
}

/// The parts between commas.
fn list(words: &OsString) -> Outcome<Vec<String>> {
    let text = words.to_str().ok_or("a list of names is not valid UTF-8")?;
    Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
}

fn fraction(text: &str) -> Outcome<f64> {
    match text.parse::<f64>() {
        Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(fraction),
        _ => Err(format!("`{text}` is no fraction: a number over 0 and up to 1 is").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fraction_is_over_zero_and_up_to_one() {
        let asked = parse(&["a.csv", "--fraction", "1, 1e-3,.5"]).unwrap();
        assert_eq!(asked.fractions, [1.0, 0.001, 0.5]);
        assert_eq!(parse(&["a.csv"]).unwrap().fractions, FRACTIONS);
        for text in ["0", "-0.1", "-0", "1.0001", "NaN", "inf", "", "0.1,", "ten"] {
            let error = parse(&["a.csv", "--fraction", text]).unwrap_err();
            assert!(error.ends_with("is no fraction: a number over 0 and up to 1 is"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert!(parse(&["--traces"]).unwrap_err().contains("after --traces is missing"));
        assert!(parse(&["--sieve", "a.csv"]).unwrap_err().starts_with("`--sieve` is no option"));
        assert!(parse(&["--json"]).unwrap_err().starts_with("no file to replay"));
        assert!(parse(&["a.csv", "--json", "--bars", "r.csv"]).is_err());
        assert!(parse(&["--traces", "nowhere"]).unwrap_err().starts_with("cannot list nowhere"));
    }

    #[test]
    fn a_directory_gives_its_traces_alone() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.ctr.zst", "a.CTR.zst", "reference.csv", "README.md"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let path = directory.path().to_str().unwrap();
        let files = parse(&["--traces", path]).unwrap().files;
        assert_eq!(files, ["a.CTR.zst", "b.ctr.zst"].map(|name| directory.path().join(name)));
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().to_str().unwrap();
        assert!(parse(&["--traces", path]).unwrap_err().ends_with("holds no .ctr.zst file"));
    }
}
