//! What the conformance suites said while the tests ran: how many cases for whom, and how many
//! planted faults they found.

use std::collections::{BTreeMap, BTreeSet};

/// Cases of one subject: those that ran whole, those of which the refusal was checked, and those of
/// which nothing was.
type Cases = (usize, usize, usize);

/// The lines of all suites, each subject counted once.
#[derive(Debug, Default)]
pub(super) struct Conformance {
    /// By suite, then by subject.
    subjects: BTreeMap<String, BTreeMap<String, Cases>>,
    /// By suite: the faults that were planted in subjects and found.
    found: BTreeMap<String, BTreeSet<String>>,
}

impl Conformance {
    /// Takes in one line that a test of `package` printed. What the test kit says of subjects of
    /// its own is left out: they show that the suites work, not that a part keeps a contract.
    pub(super) fn line(&mut self, line: &str, package: &str) {
        if let Some((suite, fault)) = line.split_once(" conformance finds ") {
            self.found.entry(suite.to_owned()).or_default().insert(fault.to_owned());
        } else if let Some((suite, rest)) = line.split_once(" conformance of ")
            && package != "testkit"
            && let Some((subject, cases)) = rest.split_once(": ")
            && let Some(cases) = cases_in(cases)
        {
            let who = match package == subject {
                true => subject.to_owned(),
                false => format!("{package}/{subject}"),
            };
            let known = self.subjects.entry(suite.to_owned()).or_default();
            let most = known.entry(who).or_default();
            *most = cases.max(*most);
        }
    }

    /// A line for each suite: `backend conformance: disk 141, memory 127 and 14 refusals`.
    pub(super) fn lines(&self) -> Vec<String> {
        let suite = |(suite, subjects): (&String, &BTreeMap<String, Cases>)| {
            let each: Vec<String> = subjects.iter().map(subject).collect();
            let found = match self.found.get(suite) {
                Some(found) => format!("; planted faults found: {}", found.len()),
                None => String::new(),
            };
            format!("{suite} conformance: {}{found}", each.join(", "))
        };
        self.subjects.iter().map(suite).collect()
    }
}

fn subject((who, cases): (&String, &Cases)) -> String {
    match cases {
        (ran, 0, 0) => format!("{who} {ran}"),
        (ran, refused, 0) => format!("{who} {ran} and {refused} refusals"),
        (ran, 0, untried) => format!("{who} {ran} and {untried} not tried"),
        (ran, refused, untried) => {
            format!("{who} {ran}, {refused} refusals and {untried} not tried")
        }
    }
}

/// The counts of `59 ran, 0 failed, 82 not claimed, 1 not tried`.
fn cases_in(text: &str) -> Option<Cases> {
    let mut counts = text.split(", ").map(|count| count.split_once(' '));
    let mut next = |what: &str| match counts.next()?? {
        (number, found) if found == what => number.parse().ok(),
        _ => None,
    };
    let ran = next("ran")?;
    next("failed")?;
    Some((ran, next("not claimed")?, next("not tried")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_is_counted_once_and_each_fault_too() {
        let mut conformance = Conformance::default();
        for (package, line) in [
            ("disk", "backend conformance of disk: 141 ran, 0 failed, 0 not claimed, 0 not tried"),
            (
                "memory",
                "backend conformance of hybrid: 120 ran, 0 failed, 21 not claimed, 0 not tried",
            ),
            (
                "memory",
                "backend conformance of hybrid: 118 ran, 0 failed, 23 not claimed, 0 not tried",
            ),
            (
                "testkit",
                "backend conformance of model: 9 ran, 0 failed, 0 not claimed, 0 not tried",
            ),
            ("testkit", "backend conformance finds TearsWrites"),
            ("testkit", "backend conformance finds TearsWrites"),
            (
                "serializers",
                "codec conformance of json: 14 ran, 0 failed, 0 not claimed, 2 not tried",
            ),
            ("disk", "backend conformance of nothing in particular"),
        ] {
            conformance.line(line, package);
        }
        assert_eq!(
            conformance.lines(),
            [
                "backend conformance: disk 141, memory/hybrid 120 and 21 refusals; planted \
                 faults found: 1",
                "codec conformance: serializers/json 14 and 2 not tried",
            ]
        );
    }
}
