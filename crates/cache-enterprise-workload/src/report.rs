//! How much of a file could be read.

use std::path::{Path, PathBuf};

use crate::TraceError;

/// Lines of a text file that held a request, and lines that did not.
///
/// Blank lines and the header of a CSV file count as neither. A binary trace has no lines to skip:
/// damage there is an error at once.
///
/// ```
/// use cache_enterprise_workload::AccessLogReader;
///
/// let log = "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5\nno request\n";
/// let mut reader = AccessLogReader::new(log.as_bytes(), "access.log");
/// assert_eq!(reader.by_ref().count(), 1);
///
/// let report = reader.report();
/// assert_eq!((report.read, report.skipped), (1, 1));
/// assert_eq!(
///     report.check().map_err(|error| error.to_string()),
///     Err("access.log: 1 of 2 lines (50.0 %) could not be read, more than 10 %; \
///          the first is line 2: no [time] in brackets".into())
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The file the requests come from.
    pub path: PathBuf,
    /// Requests read so far.
    pub read: u64,
    /// Lines skipped so far.
    pub skipped: u64,
    /// The first line that was skipped.
    pub first_skipped: Option<SkippedLine>,
}

/// A line that held no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    /// Why it could not be read; never shows the line itself.
    pub reason: &'static str,
}

impl Report {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0, skipped: 0, first_skipped: None }
    }

    pub(crate) fn skip(&mut self, line: u64, reason: &'static str) {
        self.skipped += 1;
        self.first_skipped.get_or_insert(SkippedLine { line, reason });
    }

    /// Takes a request that was read back, as a skipped line.
    pub(crate) fn refuse(&mut self, line: u64, reason: &'static str) {
        self.read -= 1;
        self.skip(line, reason);
    }

    /// Lines that should have held a request.
    pub fn lines(&self) -> u64 {
        self.read + self.skipped
    }

    /// Whether the file was good enough to draw conclusions from; meant for its end.
    ///
    /// # Errors
    /// [`TraceError::TooManySkipped`] when more than 10 % of the lines were skipped,
    /// [`TraceError::Empty`] when there was no line at all.
    pub fn check(&self) -> Result<(), TraceError> {
        if self.lines() == 0 {
            return Err(TraceError::Empty { path: self.path.clone() });
        }
        match self.first_skipped {
            Some(first) if u128::from(self.skipped) * 10 > u128::from(self.lines()) => {
                Err(TraceError::TooManySkipped {
                    path: self.path.clone(),
                    skipped: self.skipped,
                    lines: self.lines(),
                    first_line: first.line,
                    reason: first.reason,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(read: u64, skipped: u64) -> Report {
        let mut report = Report::new(Path::new("access.log"));
        report.read = read;
        for line in 0..skipped {
            report.skip(line + 3, "no quoted request");
        }
        report
    }

    #[test]
    fn a_tenth_is_still_fine() {
        assert!(report(9, 1).check().is_ok());
        assert!(report(900, 100).check().is_ok());
        assert!(report(1, 0).check().is_ok());
    }

    #[test]
    fn more_than_a_tenth_names_file_share_and_first_line() {
        let message = report(899, 101).check().map_err(|e| e.to_string());
        assert_eq!(
            message,
            Err("access.log: 101 of 1000 lines (10.1 %) could not be read, more than 10 %; \
                 the first is line 3: no quoted request"
                .into())
        );
        let barely = report(89_999, 10_001).check().map_err(|e| e.to_string());
        assert!(barely.is_err_and(|message| message.contains("(10.1 %)")));
    }

    #[test]
    fn no_line_at_all_is_empty() {
        assert!(matches!(report(0, 0).check(), Err(TraceError::Empty { .. })));
    }
}
