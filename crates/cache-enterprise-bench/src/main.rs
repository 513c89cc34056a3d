//! Peers beside cache-enterprise in one run; reports ratios.
//!
//! ```text
//! l1      hits, get-or-load, tails         bars 1 to 4, 6, 14; 5 by the binary `counted`
//! policies  hits under each eviction policy, beside caches that have the same
//! l2      reads through Redis and memcached   bars 8 to 10
//! disk    1 KiB reads and writes           bar 11
//! flight  10 000 callers of one cold key   bars 12 and 13
//! coherence  tags, tenants, invalidations; processes over a Redis   bars 15 to 23
//! memory  overhead bytes an entry          bar 7, by the binary `counted`
//! ```
//!
//! `docs/performance.md` says how to read and repeat it. What counts allocations is a binary of
//! its own: a counting allocator would slow whoever allocates in the timed groups.

mod coherence;
mod counting;
mod disk;
mod flight;
mod keys;
mod l1;
mod l2;
mod peers;
mod policies;
mod report;
mod rounds;
mod tail;

use std::error::Error;
use std::process::ExitCode;

use report::Report;

/// Fewest rounds that give quartiles a meaning.
const ROUNDS_MIN: usize = 7;

const GROUPS: [&str; 7] = ["l1", "policies", "l2", "disk", "flight", "coherence", "memory"];

struct Arguments {
    groups: Vec<String>,
    is_json: bool,
    rounds: usize,
    /// Of group `l2` only the points, of `coherence` the parts, whose names hold this text.
    only: String,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self { groups: Vec::new(), is_json: false, rounds: 9, only: String::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => read.is_json = true,
                "--rounds" => {
                    let rounds = words.next().and_then(|word| word.parse().ok());
                    read.rounds = rounds
                        .filter(|rounds| *rounds >= ROUNDS_MIN)
                        .ok_or("`--rounds` takes a number of at least 7")?;
                }
                "--only" => read.only = words.next().ok_or("`--only` takes a text")?,
                group if GROUPS.contains(&group) => read.groups.push(word),
                other => return Err(format!("no group `{other}`; there are {GROUPS:?}")),
            }
        }
        if read.groups.is_empty() {
            read.groups = GROUPS.map(str::to_owned).to_vec();
        }
        read.leaves_something()?;
        Ok(read)
    }

    /// A run of nothing would look like one that measured.
    fn leaves_something(&self) -> Result<(), String> {
        let names = self.groups.iter().flat_map(|group| match group.as_str() {
            "l2" => l2::names(),
            "coherence" => coherence::names(),
            _ => Vec::new(),
        });
        let (only, names) = (&self.only, names.collect::<Vec<_>>());
        if only.is_empty() || names.iter().any(|name| name.contains(only)) {
            return Ok(());
        }
        let groups = &self.groups;
        Err(match names.is_empty() {
            true => format!("`--only {only}` is for groups with parts, not for {groups:?}"),
            false => format!("`--only {only}` leaves nothing of {groups:?}; there are {names:?}"),
        })
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, seat)) = words.split_first()
        && first == coherence::MEMBER
    {
        return ended(coherence::obey(seat));
    }
    let arguments = match Arguments::read(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(text) => {
            report::progress(&text);
            return ExitCode::from(2);
        }
    };
    ended(run(&arguments))
}

fn ended(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::progress(&format!("the bench stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut report = Report::new(arguments.is_json);
    for group in &arguments.groups {
        match group.as_str() {
            "l1" => {
                l1::run(&mut report, arguments.rounds)?;
                tail::run(&mut report, arguments.rounds)?;
                counting::run(&mut report, "l1")?;
            }
            "policies" => policies::run(&mut report, arguments.rounds)?,
            "l2" => l2::run(&mut report, arguments.rounds, &arguments.only)?,
            "disk" => disk::run(&mut report, arguments.rounds)?,
            "flight" => flight::run(&mut report, arguments.rounds)?,
            "coherence" => coherence::run(&mut report, arguments.rounds, &arguments.only)?,
            "memory" => counting::run(&mut report, "memory")?,
            _ => unreachable!("the arguments hold known groups only"),
        }
    }
    report.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn no_group_means_all_and_unknown_words_are_refused() {
        assert_eq!(read("--json").unwrap().groups, GROUPS);
        assert_eq!(read("flight --rounds 11").unwrap().rounds, 11);
        assert_eq!(read("l2 --only 128").unwrap().only, "128");
        assert!(read("flights").is_err());
        assert!(read("l1 --rounds 3").is_err());
    }

    #[test]
    fn a_filter_that_leaves_nothing_is_refused_with_what_there_is() {
        for kept in ["l2 --only 128", "coherence --only heard", "l2 coherence --only cut"] {
            assert!(read(kept).is_ok(), "{kept}");
        }
        assert!(read("--only heard").is_ok(), "of all groups one has it");
        for (line, there) in [("coherence --only 128", "metadata"), ("l2 --only heard", "128 B")] {
            let refused = read(line).map(drop).unwrap_err();
            assert!(refused.contains(there) && refused.contains("--only"), "{refused}");
        }
        assert!(read("l1 --only hit").is_err(), "this group has no parts to choose from");
    }
}
