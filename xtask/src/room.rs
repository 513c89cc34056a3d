//! The first step of `cargo xtask ci`: whether the disk has room for what it builds. A full disk
//! would end it in the middle, with the words of whichever program wrote last.

use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, capture};

const KIB_PER_GIB: u64 = 1024 * 1024;

/// What a run from cold leaves in the target directory, and a little more: `du` says 15 GiB after
/// `.ci/run`, and 24 after `cargo xtask ci` alone, whose builds are those of one's daily work.
const NEEDED_KIB: u64 = 18 * KIB_PER_GIB;

/// Fails where the target directory cannot grow to what a run from cold leaves in it.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let target = workspace.target();
    let free = kib_free(standing(&target))?;
    judge(free, kib_held(&target)?).map(|line| println!("{line}"))
}

/// What the target directory holds by now, to be printed.
pub(crate) fn held(workspace: &Workspace) -> Outcome<String> {
    Ok(format!("target: {}", gib(kib_held(&workspace.target())?)))
}

fn judge(free: u64, held: u64) -> Outcome<String> {
    let line = format!("target: {}, free: {}", gib(held), gib(free));
    match free + held >= NEEDED_KIB {
        true => Ok(line),
        false => Err(Failure::new(format!(
            "{line}, needed: {}; make room, or point CARGO_TARGET_DIR to a larger disk",
            gib(NEEDED_KIB - held),
        ))),
    }
}

fn gib(kib: u64) -> String {
    format!("{:.1} GiB", kib as f64 / KIB_PER_GIB as f64)
}

/// The nearest folder above `path`, itself included, that is there.
fn standing(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// What the file system of `folder` still takes.
fn kib_free(folder: &Path) -> Outcome<u64> {
    available(&capture(Command::new("df").arg("-Pk").arg(folder))?)
}

/// The fourth column of the line below the head: POSIX gives `df -P` these columns.
fn available(listing: &str) -> Outcome<u64> {
    let column = listing.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
    number(column, "df")
}

fn kib_held(folder: &Path) -> Outcome<u64> {
    match folder.is_dir() {
        true => number(
            capture(Command::new("du").arg("-sk").arg(folder))?.split_whitespace().next(),
            "du",
        ),
        false => Ok(0),
    }
}

fn number(word: Option<&str>, program: &str) -> Outcome<u64> {
    let no_number = || Failure::new(format!("`{program}` printed no number of KiB"));
    word.and_then(|word| word.parse().ok()).ok_or_else(no_number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const DF: &str = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                      /dev/vda         263112772 90882084   4508840      96% /\n";

    #[test]
    fn a_full_disk_is_told_before_anything_is_built() {
        let failure = judge(available(DF).unwrap(), 0).unwrap_err().to_string();
        assert!(
            failure.starts_with("target: 0.0 GiB, free: 4.3 GiB, needed: 18.0 GiB"),
            "{failure}"
        );
    }

    #[test]
    fn what_is_built_needs_no_room_again() {
        assert!(judge(4 * KIB_PER_GIB, 13 * KIB_PER_GIB).is_err());
        let told = judge(4 * KIB_PER_GIB, 14 * KIB_PER_GIB).unwrap();
        assert_eq!(told, "target: 14.0 GiB, free: 4.0 GiB");
    }

    #[test]
    fn programs_that_print_something_else_are_no_disk_without_room() {
        assert!(available("").is_err());
        assert!(available("head\n/dev/vda 1 2 - 4% /\n").is_err());
    }

    #[test]
    fn a_target_directory_that_is_still_to_be_made_lies_where_its_parent_does() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(standing(&folder.path().join("a/b")), folder.path());
        assert!(kib_free(folder.path()).is_ok());
        assert_eq!(kib_held(&folder.path().join("a")).unwrap(), 0);
        assert!(kib_held(folder.path()).is_ok());
    }
}
