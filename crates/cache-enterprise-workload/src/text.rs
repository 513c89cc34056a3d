//! What the readers of text formats share: skipping, counting and times from the first request on.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use crate::lines::Lines;
use crate::{Report, Request, RequestKey, TraceError};

/// One line as its format understands it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Seconds since any fixed moment.
    pub(crate) seconds: Option<i64>,
    pub(crate) key: RequestKey,
    pub(crate) size: u32,
    pub(crate) tenant: Option<Arc<str>>,
}

/// A line format. The error says what is wrong with the line without showing it.
pub(crate) trait LineFormat {
    fn parse(&mut self, line: &[u8]) -> Result<Parsed, &'static str>;
}

/// Requests from the lines of a text.
#[derive(Debug)]
pub(crate) struct TextReader<R, F> {
    lines: Lines<R>,
    format: F,
    report: Report,
    first_seconds: Option<i64>,
    failed: bool,
}

impl<R: BufRead, F: LineFormat> TextReader<R, F> {
    /// Reads the lines that `lines` has not given out yet.
    pub(crate) fn new(lines: Lines<R>, format: F, path: &Path) -> Self {
        Self { lines, format, report: Report::new(path), first_seconds: None, failed: false }
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Counts the line of the request that was given out last as skipped.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.report.refuse(self.lines.number(), reason);
    }

    pub(crate) fn next(&mut self) -> Option<Result<Request, TraceError>> {
        if self.failed {
            return None;
        }
        loop {
            let line = match self.lines.next_filled() {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(source) => {
                    self.failed = true;
                    return Some(Err(TraceError::io(&self.report.path, "read")(source)));
                }
            };
            let parsed = match line.bytes {
                Some(bytes) => self.format.parse(bytes),
                None => Err("over 64 KiB long"),
            };
            match parsed {
                Ok(parsed) => return Some(Ok(self.request(parsed))),
                Err(reason) => self.report.skip(line.number, reason),
            }
        }
    }

    /// Logs are written when a request ends, so a line may be older than the first: time 0 then.
    fn request(&mut self, parsed: Parsed) -> Request {
        self.report.read += 1;
        let time = parsed.seconds.map_or(0, |seconds| {
            let first = *self.first_seconds.get_or_insert(seconds);
            u32::try_from(seconds.saturating_sub(first).max(0)).unwrap_or(u32::MAX)
        });
        Request { time, key: parsed.key, size: parsed.size, tenant: parsed.tenant }
    }
}

/// A decimal number, or the largest one there is when it is larger; `None` for anything else.
pub(crate) fn saturating_u32(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}
