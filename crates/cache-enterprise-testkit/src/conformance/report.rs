//! What a suite found, case by case.

use std::fmt;

use crate::Seed;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The case ran whole and found nothing wrong.
    Passed,
    /// The subject does not claim the named capability. Instead of the case, its refusal was
    /// checked: an operation that is not offered must say so and must not pretend.
    NotClaimed(&'static str),
    /// The suite was not given the named thing, such as a way to open the records again: nothing was
    /// checked.
    NotTried(&'static str),
    /// What was wrong.
    Failed(String),
}

/// One case and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The sentence the case checks, such as `a_zero_ttl_is_a_miss_at_once`.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// The outcome of every case of a suite, in order.
///
/// Its `Display` is a summary line, then a line for each failure and the line that repeats the
/// run.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody reads hides failures; call `assert_passed`"]
pub struct Report {
    suite: &'static str,
    subject: String,
    seed: Seed,
    results: Vec<CaseResult>,
}

impl Report {
    pub(crate) fn new(suite: &'static str, subject: String, seed: Seed) -> Self {
        Self { suite, subject, seed, results: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.results.push(CaseResult { name, outcome });
    }

    /// Every case in the order it ran.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// The outcome of the case called `name`.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.results.iter().find(|result| result.name == name).map(|result| &result.outcome)
    }

    /// Names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = |result: &&CaseResult| matches!(result.outcome, Outcome::Failed(_));
        self.results.iter().filter(failed).map(|result| result.name).collect()
    }

    /// Number of cases that ran whole, failed ones included.
    pub fn ran(&self) -> usize {
        self.results.len() - self.not_claimed() - self.not_tried()
    }

    /// Number of cases of which only the refusal was checked.
    pub fn not_claimed(&self) -> usize {
        let unclaimed = |result: &&CaseResult| matches!(result.outcome, Outcome::NotClaimed(_));
        self.results.iter().filter(unclaimed).count()
    }

    /// Number of cases of which nothing was checked, since the suite was not given what they need.
    pub fn not_tried(&self) -> usize {
        let untried = |result: &&CaseResult| matches!(result.outcome, Outcome::NotTried(_));
        self.results.iter().filter(untried).count()
    }

    /// Ends the test when a case failed, or when no case ran. Else prints the summary line, which
    /// the test harness keeps to itself unless it runs with `--show-output`.
    ///
    /// # Panics
    /// With the whole report, the seed included.
    #[allow(clippy::print_stdout, reason = "the count of cases belongs to the test's output")]
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.ran() > 0, "no case ran\n{self}");
        assert!(self.failed().is_empty(), "{self}");
        println!("{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} conformance of {}: {} ran, {} failed, {} not claimed, {} not tried",
            self.suite,
            self.subject,
            self.ran(),
            self.failed().len(),
            self.not_claimed(),
            self.not_tried(),
        )?;
        for CaseResult { name, outcome } in &self.results {
            if let Outcome::Failed(why) = outcome {
                write!(f, "\n  {name}: {why}")?;
            }
        }
        if !self.failed().is_empty() {
            write!(f, "\n  replay with {}", self.seed.replay())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("backend", "disk".into(), Seed(5));
        report.add("good", Outcome::Passed);
        report.add("left_out", Outcome::NotClaimed("scan"));
        report.add("unknown", Outcome::NotTried("reopen"));
        report
    }

    #[test]
    fn the_text_counts_the_cases_and_names_the_failures() {
        let mut report = report();
        report.assert_passed();
        report.add("bad", Outcome::Failed("lost a value".into()));
        assert_eq!(
            report.to_string(),
            "backend conformance of disk: 2 ran, 1 failed, 1 not claimed, 1 not tried\n  \
             bad: lost a value\n  replay with CE_SEED=5"
        );
        assert_eq!(report.failed(), ["bad"]);
    }

    #[test]
    #[should_panic(expected = "bad: lost a value")]
    fn a_failure_ends_the_test() {
        let mut report = report();
        report.add("bad", Outcome::Failed("lost a value".into()));
        report.assert_passed();
    }

    #[test]
    #[should_panic(expected = "no case ran")]
    fn an_empty_report_ends_the_test() {
        Report::new("backend", "disk".into(), Seed(5)).assert_passed();
    }
}
