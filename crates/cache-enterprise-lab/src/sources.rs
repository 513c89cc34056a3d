//! The files to replay: regular ones, each given once and with a name of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cache_enterprise_workload::simulate::name_of;

use crate::Outcome;

/// A file to replay.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// What results and drawings call it: its name without the endings, or its path as it was given
    /// where another file has the same name.
    pub(crate) name: String,
}

/// Looks at every file and opens none.
///
/// # Errors
/// A sentence on two that are one, and on one that is absent or no regular file.
pub(crate) fn sources(paths: &[PathBuf]) -> Outcome<Vec<Source>> {
    let mut seen: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for path in paths {
        let about = fs::metadata(path)
            .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        // A pipe gives its requests to whoever reads first, and waits for them when it is empty.
        if !about.is_file() {
            let path = path.display();
            return Err(format!("{path} is no regular file: files are read twice").into());
        }
        // A file without a place any more, such as the input of a shell, has the path alone.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if let Some(other) = seen.insert(place, path) {
            return Err(format!("{} and {} are one file", path.display(), other.display()).into());
        }
    }
    let names = names(paths);
    Ok(paths.iter().cloned().zip(names).map(|(path, name)| Source { path, name }).collect())
}

/// A name for each path, no two the same.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = paths.iter().map(name_of).collect();
    let mut is_path = vec![false; paths.len()];
    // A path may be the short name of a third file, which takes its path in the next turn.
    loop {
        let mut counts = BTreeMap::new();
        for name in &names {
            *counts.entry(name.clone()).or_insert(0) += 1;
        }
        let shared: Vec<usize> =
            (0..names.len()).filter(|at| !is_path[*at] && counts[&names[*at]] > 1).collect();
        if shared.is_empty() {
            return names;
        }
        for at in shared {
            // Quoted where it is not valid UTF-8, for then `display` may show two paths alike.
            let path = paths[at].to_str().map_or_else(|| format!("{:?}", paths[at]), str::to_owned);
            (names[at], is_path[at]) = (path, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Vec<String> {
        names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_is_short_until_it_is_shared() {
        assert_eq!(named(&["t/a.ctr.zst", "t/b.csv", "x/access.log"]), ["a", "b", "access"]);
        assert_eq!(named(&["a.log.1", "b.csv", "a.log.2"]), ["a.log.1", "b", "a.log.2"]);
        assert_eq!(
            named(&["k.csv", "x/k.csv", "y/k.ctr.zst"]),
            ["k.csv", "x/k.csv", "y/k.ctr.zst"]
        );
    }

    #[test]
    fn a_path_that_is_the_short_name_of_another_file_takes_it_along() {
        // The first two are `k`, so that the second becomes `k.csv`, as the third was, and so on.
        let paths = ["k.log", "k.csv", "k.csv.1", "x/k.csv.1.log"];
        assert_eq!(named(&paths), paths);
        assert_eq!(named(&["k", "x/k"]), ["k", "x/k"]);
    }
}
