//! Access logs of HTTP servers: Common Log Format, and Combined, which adds two fields at the end.
//!
//! ```text
//! host ident user [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326
//! ```
//!
//! A line is read from its landmarks, the bracketed time and the quoted request, so that a user
//! name with blanks or brackets, a virtual host in front or further fields behind do no harm.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::lines::Lines;
use crate::text::{LineFormat, Parsed, TextReader, saturating_u32};
use crate::{Report, Request, RequestKey, TraceError};

/// Reads an access log line by line.
///
/// The key is the request's target as written, query included; every method and status counts, for
/// each is a request that a cache in front would have seen. The size is the number of bytes sent, 1
/// for unknown where the server wrote `-` or 0, as it does for `HEAD` and 304. Times start at the
/// first request. There are no tenants.
///
/// Lines without these fields are counted in the [`Report`] and skipped. Memory is bounded by one
/// line of at most 64 KiB.
///
/// ```
/// use cache_enterprise_workload::AccessLogReader;
///
/// let log = r#"
/// 127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /pb.gif?v=2 HTTP/1.0" 200 2326
/// ::1 - - [10/Oct/2000:20:55:38 +0000] "GET / HTTP/1.1" 304 - "http://a.example/" "Agent"
/// "#;
/// let requests = AccessLogReader::new(log.as_bytes(), "access.log");
/// let read: Vec<_> = requests.collect::<Result<_, _>>()?;
/// let shown = |at: usize| format!("{} {} {}", read[at].time, read[at].key, read[at].size);
/// assert_eq!([shown(0), shown(1)], ["0 /pb.gif?v=2 2326", "2 / 1"]);
/// # Ok::<(), cache_enterprise_workload::TraceError>(())
/// ```
#[derive(Debug)]
pub struct AccessLogReader<R> {
    text: TextReader<R, CommonLog>,
}

impl AccessLogReader<BufReader<File>> {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// [`TraceError::Io`] when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(TraceError::io(path, "open"))?;
        Ok(Self::new(BufReader::new(file), path))
    }
}

impl<R: BufRead> AccessLogReader<R> {
    /// Reads a log from `input`; `path` is its name in errors.
    pub fn new(input: R, path: impl AsRef<Path>) -> Self {
        Self { text: TextReader::new(Lines::new(input), CommonLog, path.as_ref()) }
    }

    /// Lines read and skipped so far.
    pub fn report(&self) -> &Report {
        self.text.report()
    }

    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.text.refuse(reason);
    }
}

impl<R: BufRead> Iterator for AccessLogReader<R> {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.text.next()
    }
}

/// Whether `line` could come from an access log.
pub(crate) fn is_log_line(line: &[u8]) -> bool {
    CommonLog.parse(line).is_ok()
}

#[derive(Debug)]
struct CommonLog;

impl LineFormat for CommonLog {
    fn parse(&mut self, line: &[u8]) -> Result<Parsed, &'static str> {
        // A client's address, its name and what it asks for may hold brackets. In a name a server
        // writes a quote as `\"` or `\x22`: so the first one behind `] ` begins the request, and
        // the last bracket before it, after a blank, the time.
        let Some((before, rest)) = split_once(line, b"] \"") else {
            let is_timed = split_once(line, b" [").is_some();
            return Err(if is_timed { NO_REQUEST } else { NO_TIME });
        };
        let (who, time) = rsplit_once(before, b" [").ok_or(NO_TIME)?;
        if who.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() < 3 {
            return Err("fewer than three fields before the time");
        }
        let seconds = unix_seconds(time).ok_or("no time such as 10/Oct/2000:13:55:36 -0700")?;
        let (request, rest) = until_quote(rest).ok_or("the quoted request does not end")?;
        let target = target(request).ok_or("no method and target in the request")?;
        let key = str::from_utf8(target).map_err(|_| "the target is not valid UTF-8")?;
        let mut fields = rest.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
        match fields.next() {
            Some(status) if status.len() == 3 && status.iter().all(u8::is_ascii_digit) => {}
            _ => return Err("no status after the request"),
        }
        let size = match fields.next() {
            Some(b"-") => 1,
            Some(bytes) => saturating_u32(bytes).ok_or("no size after the status")?.max(1),
            None => return Err("no size after the status"),
        };
        Ok(Parsed { seconds: Some(seconds), key: RequestKey::Text(key.into()), size, tenant: None })
    }
}

const NO_TIME: &str = "no [time] in brackets";
const NO_REQUEST: &str = "no quoted request after the time";

fn split_once<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

fn rsplit_once<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).rposition(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

/// Splits at the closing quote; servers write a quote inside as `\"`.
fn until_quote(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&bytes[..at], &bytes[at + 1..])),
            _ => {}
        }
    }
    None
}

/// The target of `METHOD target HTTP/1.1`; the protocol may be missing, as in HTTP/0.9.
fn target(request: &[u8]) -> Option<&[u8]> {
    let (method, rest) = split_once(request, b" ")?;
    let is_method = !method.is_empty()
        && method.iter().all(|&b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'));
    let target = match rest.windows(6).rposition(|window| window == b" HTTP/") {
        Some(at) => &rest[..at],
        None => rest,
    };
    (is_method && !target.trim_ascii().is_empty()).then_some(target)
}

/// Seconds since 1970-01-01 UTC of `10/Oct/2000:13:55:36 -0700`.
fn unix_seconds(time: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let number = |from: usize, to: usize| saturating_u32(time.get(from..to)?).map(i64::from);
    let marks = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if time.len() != 26 || marks.iter().any(|&(at, mark)| time[at] != mark) {
        return None;
    }
    let month = 1 + MONTHS.iter().position(|name| *name == &time[3..6])? as i64;
    let (day, year) = (number(0, 2)?, number(7, 11)?);
    let (hour, minute, second) = (number(12, 14)?, number(15, 17)?, number(18, 20)?);
    let offset = (number(22, 24)? * 60 + number(24, 26)?) * 60;
    // 60 is a leap second; a day over the month's end only shifts the time.
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    match time[21] {
        b'+' => Some(local - offset),
        b'-' => Some(local + offset),
        _ => None,
    }
}

/// Days in the Gregorian calendar, counted in years that begin in March, so that the leap day comes
/// last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(line: &str) -> Result<Parsed, &'static str> {
        CommonLog.parse(line.as_bytes())
    }

    fn key(line: &str) -> String {
        parse(line).unwrap().key.to_string()
    }

    #[test]
    fn times_are_seconds_of_the_unix_epoch() {
        for (time, seconds) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("10/Oct/2000:13:55:36 -0700", 971_211_336),
            ("29/Feb/2024:23:59:60 +0000", 1_709_251_200),
            ("01/Mar/2024:01:00:00 +0100", 1_709_251_200),
            ("31/Dec/1969:23:59:59 +0000", -1),
            ("19/Jan/2038:03:14:08 +0000", 2_147_483_648),
        ] {
            assert_eq!(unix_seconds(time.as_bytes()), Some(seconds), "{time}");
        }
        for time in ["", "10/Okt/2000:13:55:36 -0700", "10/Oct/2000:24:55:36 -0700", "10/Oct/2000"]
        {
            assert_eq!(unix_seconds(time.as_bytes()), None, "{time}");
        }
    }

    #[test]
    fn odd_but_whole_lines_are_read() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        for (line, expected) in [
            (format!(r#"[::1] - - {time} "GET /a HTTP/1.1" 200 5"#), "/a"),
            (format!(r#"shop:443 1.2.3.4 - - {time} "PUT /b HTTP/2.0" 201 5 "-" "x" 0.01"#), "/b"),
            (
                format!(r#"h - Anna Lee {time} "GET /c%20d?q=1&r=2 HTTP/1.1" 200 5"#),
                "/c%20d?q=1&r=2",
            ),
            (format!(r#"shop:443 [::1] - - {time} "GET /v6 HTTP/1.1" 200 5"#), "/v6"),
            (format!(r#"h - Anna [Lee] {time} "GET /name HTTP/1.1" 200 5"#), "/name"),
            (format!(r#"h - {time} {time} "GET /fake HTTP/1.1" 200 5"#), "/fake"),
            (
                format!(r#"h - - {time} "GET /a]?{time}&[b HTTP/1.1" 200 5 "-" "{time} [c] "d""#),
                "/a]?[10/Oct/2000:13:55:36 -0700]&[b",
            ),
            (format!(r#"h - - {time} "GET /say?\"hi\" HTTP/1.1" 200 5"#), r#"/say?\"hi\""#),
            (format!(r#"h - - {time} "GET /old" 200 5"#), "/old"),
            (format!(r#"h - - {time} "GET /two words HTTP/1.0" 404 0"#), "/two words"),
            (format!(r#"h - - {time} "OPTIONS * HTTP/1.0" 200 -"#), "*"),
            (format!(r#"h - - {time} "GET /1" HTTP/1.1" 200 5"#).replace("/1\"", "/1"), "/1"),
        ] {
            assert_eq!(key(&line), expected, "{line}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_one() {
        let size = |field: &str| {
            let line =
                format!(r#"h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 {field}"#);
            parse(&line).map(|parsed| parsed.size)
        };
        assert_eq!(size("2326"), Ok(2326));
        assert_eq!(size("-"), Ok(1));
        assert_eq!(size("0"), Ok(1));
        assert_eq!(size("99999999999"), Ok(u32::MAX));
        assert_eq!(size("many"), Err("no size after the status"));
        assert_eq!(size(""), Err("no size after the status"));
    }

    #[test]
    fn lines_without_a_request_say_what_they_lack() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        for (line, reason) in [
            ("plain words".into(), "no [time] in brackets"),
            (
                format!("h {time} \"GET / HTTP/1.1\" 200 5"),
                "fewer than three fields before the time",
            ),
            (format!("h - - {time} GET / 200 5"), "no quoted request after the time"),
            (format!(r#"h - - {time} "GET /a] "b HTTP/1.1" 200 5"#), "no status after the request"),
            (
                format!(r#"h - - {time} GET /a] "GET /b HTTP/1.1" 200 5"#),
                "no time such as 10/Oct/2000:13:55:36 -0700",
            ),
            ("h - - \"GET /a] \"GET / HTTP/1.1\" 200 5".into(), "no [time] in brackets"),
            (
                "h - - [today] \"GET / HTTP/1.1\" 200 5".into(),
                "no time such as 10/Oct/2000:13:55:36 -0700",
            ),
            (format!("h - - {time} \"GET / HTTP/1.1 200 5"), "the quoted request does not end"),
            (format!("h - - {time} \"-\" 408 -"), "no method and target in the request"),
            (
                format!(r#"h - - {time} "\x16\x03\x01 x" 400 -"#),
                "no method and target in the request",
            ),
            (format!("h - - {time} \"GET / HTTP/1.1\" ok 5"), "no status after the request"),
        ] {
            assert_eq!(parse(&line), Err(reason), "{line}");
        }
    }
}
