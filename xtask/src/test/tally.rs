//! Counting tests in what `cargo test` prints.

use std::collections::BTreeMap;

use super::conformance::Conformance;
use super::needs::Needs;

/// Whose a test binary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) package: String,
    pub(super) needs: Needs,
}

/// One test binary, or the doc tests of one crate.
#[derive(Debug)]
struct Suite {
    package: String,
    needs: Needs,
    /// What cargo called it.
    label: String,
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Whether it lived long enough to say how it went.
    has_result: bool,
}

impl Suite {
    /// The package without the name they all begin with.
    fn short(&self) -> &str {
        self.package.strip_prefix("cache-enterprise-").unwrap_or(&self.package)
    }
}

/// Counts of everything seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    suites: Vec<Suite>,
    failed_tests: Vec<String>,
    conformance: Conformance,
}

impl Tally {
    /// Takes one line of output in. `owners` knows each test binary by file name, because
    /// integration tests of two crates may have one name.
    pub(super) fn line(&mut self, line: &str, owners: &BTreeMap<String, Owner>) {
        let line = line.trim();
        if let Some((label, binary)) = running(line)
            && let Some(owner) = owners.get(binary)
        {
            self.begin(owner.clone(), label);
        } else if let Some(library) = line.strip_prefix("Doc-tests ") {
            let package = library.replace('_', "-");
            self.begin(Owner { package, needs: Needs::Nothing }, "doc tests");
        } else if let Some((_, result)) = line.split_once("test result: ") {
            self.result(result);
        } else if let Some(name) = line.strip_prefix("test ").and_then(failed_name) {
            let package = self.suites.last().map_or("?", |suite| suite.package.as_str());
            self.failed_tests.push(format!("{package}: {name}"));
        } else if let Some(suite) = self.suites.last() {
            self.conformance.line(line, suite.short());
        }
    }

    /// What the conformance suites said.
    pub(super) fn conformance(&self) -> &Conformance {
        &self.conformance
    }

    pub(super) fn passed(&self) -> usize {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    pub(super) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.failed).sum()
    }

    pub(super) fn ignored(&self) -> usize {
        self.suites.iter().map(|suite| suite.ignored).sum()
    }

    /// `package: name` of each test that failed.
    pub(super) fn failed_tests(&self) -> &[String] {
        &self.failed_tests
    }

    /// The suites that began and never said how they went: crashed, or without a harness of the
    /// usual kind.
    pub(super) fn without_result(&self) -> impl Iterator<Item = String> + '_ {
        let silent = self.suites.iter().filter(|suite| !suite.has_result);
        silent.map(|suite| format!("{}: {} ended without a result", suite.package, suite.label))
    }

    /// Tests run in each package, in the order of the names.
    pub(super) fn by_package(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for suite in &self.suites {
            *counts.entry(suite.short()).or_default() += suite.passed + suite.failed;
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Tests run on each server, those on none first.
    pub(super) fn by_server(&self) -> BTreeMap<Needs, usize> {
        let mut counts = BTreeMap::from([(Needs::Nothing, 0)]);
        for suite in &self.suites {
            *counts.entry(suite.needs).or_default() += suite.passed + suite.failed;
        }
        counts
    }

    fn begin(&mut self, owner: Owner, label: &str) {
        self.suites.push(Suite {
            package: owner.package,
            needs: owner.needs,
            label: label.to_owned(),
            passed: 0,
            failed: 0,
            ignored: 0,
            has_result: false,
        });
    }

    /// Adds a result line. Doc tests give one for those that share a binary and one for the rest.
    fn result(&mut self, result: &str) {
        let Some(suite) = self.suites.last_mut() else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "passed" => suite.passed += number,
                "failed" => suite.failed += number,
                "ignored" => suite.ignored += number,
                _ => {}
            }
        }
        suite.has_result = true;
    }
}

/// Label and file name of `Running unittests src/lib.rs (target/debug/deps/x-0123)`.
fn running(line: &str) -> Option<(&str, &str)> {
    let (label, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    Some((label, path.rsplit(['/', '\\']).next()?))
}

fn failed_name(rest: &str) -> Option<&str> {
    rest.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
    Finished `test` profile [unoptimized] target(s) in 1.00s
     Running unittests src/lib.rs (target/debug/deps/cache_enterprise_core-01)

running 3 tests
test key::a ... ok
test key::b ... FAILED
test key::c ... ignored, why not

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/story.rs (target/debug/deps/story-02)
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/story.rs (target/debug/deps/story-03)
Running commentary (of a test that writes past its harness)
   Doc-tests cache_enterprise_core
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    fn tally() -> Tally {
        let owners = [
            ("cache_enterprise_core-01", "cache-enterprise-core", Needs::Nothing),
            ("story-02", "cache-enterprise-disk", Needs::Redis),
            ("story-03", "cache-enterprise", Needs::Nothing),
        ];
        let owner = |(file, package, needs): (&str, &str, Needs)| {
            (file.to_owned(), Owner { package: package.to_owned(), needs })
        };
        let owners = owners.map(owner).into();
        let mut tally = Tally::default();
        for line in OUTPUT.lines() {
            tally.line(line, &owners);
        }
        tally
    }

    #[test]
    fn results_are_summed() {
        let tally = tally();
        assert_eq!((tally.passed(), tally.failed(), tally.ignored()), (8, 1, 1));
        assert_eq!(tally.failed_tests(), ["cache-enterprise-core: key::b"]);
    }

    #[test]
    fn stories_of_one_name_go_to_their_own_crates() {
        let counts: Vec<_> =
            tally().by_package().into_iter().map(|(p, n)| format!("{p} {n}")).collect();
        assert_eq!(counts, ["core 7", "disk 2"]);
    }

    #[test]
    fn tests_are_counted_on_their_server() {
        let counts: Vec<_> = tally().by_server().into_iter().collect();
        assert_eq!(counts, [(Needs::Nothing, 7), (Needs::Redis, 2)]);
    }

    #[test]
    fn a_suite_that_crashed_is_named() {
        let crashed: Vec<_> = tally().without_result().collect();
        assert_eq!(crashed, ["cache-enterprise: tests/story.rs ended without a result"]);
    }
}
