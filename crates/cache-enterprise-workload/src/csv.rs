//! Comma-separated requests with a header `key[,time,size,tenant]`, columns in any order.
//!
//! A field that holds commas or quotes stands in double quotes, with quotes inside doubled (RFC
//! 4180). Other than there, a quoted field ends on its line: a lost quote then costs one line
//! instead of the rest of the file, and memory stays bounded.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use crate::lines::Lines;
use crate::text::{LineFormat, Parsed, TextReader, saturating_u32};
use crate::{Report, Request, RequestKey, TraceError};

/// Tenant names remembered, so that their requests share one allocation each.
const TENANTS_MAX: usize = 4096;

/// Reads requests from CSV.
///
/// | column | content | when missing or empty |
/// |---|---|---|
/// | `key` | any text; see [`RequestKey::parse`] | the line is skipped |
/// | `time` | seconds, fractions ignored; counted from the first request | 0 |
/// | `size` | bytes | 1 |
/// | `tenant` | any text | none |
///
/// Lines that do not fit are counted in the [`Report`] and skipped. Memory is bounded by one line
/// of at most 64 KiB and 4096 tenant names.
///
/// ```
/// use cache_enterprise_workload::CsvReader;
///
/// let text = "tenant,key\nacme,\"a,b\"\n,7\n";
/// let read: Vec<_> = CsvReader::new(text.as_bytes(), "requests.csv")?.collect::<Result<_, _>>()?;
/// assert_eq!((read[0].tenant.as_deref(), read[0].key.to_string()), (Some("acme"), "a,b".into()));
/// assert_eq!((read[1].tenant.as_deref(), read[1].key.to_string()), (None, "7".into()));
/// # Ok::<(), cache_enterprise_workload::TraceError>(())
/// ```
#[derive(Debug)]
pub struct CsvReader<R> {
    text: TextReader<R, Columns>,
}

impl CsvReader<BufReader<File>> {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// As [`CsvReader::new`]; [`TraceError::Io`] also when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(TraceError::io(path, "open"))?;
        Self::new(BufReader::new(file), path)
    }
}

impl<R: BufRead> CsvReader<R> {
    /// Reads the header from `input`; `path` is its name in errors.
    ///
    /// # Errors
    /// [`TraceError::Header`] when the header lacks `key`, names a column twice or names an unknown
    /// one, [`TraceError::Empty`] when there is none, [`TraceError::Io`] when it cannot be read.
    pub fn new(input: R, path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let mut lines = Lines::new(input);
        let header = lines.next_filled().map_err(TraceError::io(path, "read"))?;
        let Some(header) = header else {
            return Err(TraceError::Empty { path: path.to_owned() });
        };
        let columns = header
            .bytes
            .ok_or_else(|| "is over 64 KiB long".to_owned())
            .and_then(Columns::of_header)
            .map_err(|problem| TraceError::Header { path: path.to_owned(), problem })?;
        Ok(Self { text: TextReader::new(lines, columns, path) })
    }

    /// Lines read and skipped so far.
    pub fn report(&self) -> &Report {
        self.text.report()
    }

    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.text.refuse(reason);
    }
}

impl<R: BufRead> Iterator for CsvReader<R> {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.text.next()
    }
}

/// Whether `line` is a header this module reads.
pub(crate) fn is_header(line: &[u8]) -> bool {
    Columns::of_header(line).is_ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Key,
    Time,
    Size,
    Tenant,
}

impl Column {
    fn named(name: &str) -> Option<Self> {
        match name {
            "key" => Some(Self::Key),
            "time" => Some(Self::Time),
            "size" => Some(Self::Size),
            "tenant" => Some(Self::Tenant),
            _ => None,
        }
    }
}

/// What stands in each column.
#[derive(Debug)]
struct Columns {
    order: Vec<Column>,
    tenants: HashSet<Arc<str>>,
}

impl Columns {
    /// Reads the header; the error is a phrase that follows "the header of FILE".
    fn of_header(line: &[u8]) -> Result<Self, String> {
        let line = str::from_utf8(line).map_err(|_| "is not valid UTF-8".to_owned())?;
        let names: Vec<String> = Fields::of(line)
            .map(|field| field.map(|name| name.trim().to_ascii_lowercase()))
            .collect::<Result<_, _>>()
            .map_err(|reason| format!("cannot be read: {reason}"))?;
        let mut order = Vec::new();
        let mut unknown = Vec::new();
        for name in &names {
            match Column::named(name) {
                Some(column) if order.contains(&column) => {
                    return Err(format!("names the column {name} twice"));
                }
                Some(column) => order.push(column),
                None => unknown.push(quoted(name)),
            }
        }
        if !unknown.is_empty() {
            let noun = if unknown.len() == 1 { "column" } else { "columns" };
            return Err(format!("names the unknown {noun} {}", unknown.join(", ")));
        }
        if !order.contains(&Column::Key) {
            return Err("names no column key".to_owned());
        }
        Ok(Self { order, tenants: HashSet::new() })
    }

    fn tenant(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.tenants.get(name) {
            return Arc::clone(known);
        }
        if self.tenants.len() == TENANTS_MAX {
            self.tenants.clear();
        }
        let name: Arc<str> = name.into();
        self.tenants.insert(Arc::clone(&name));
        name
    }
}

impl LineFormat for Columns {
    fn parse(&mut self, line: &[u8]) -> Result<Parsed, &'static str> {
        let line = str::from_utf8(line).map_err(|_| "not valid UTF-8")?;
        let mut fields = Fields::of(line);
        let mut request = Parsed { seconds: None, key: RequestKey::Id(0), size: 1, tenant: None };
        for at in 0..self.order.len() {
            let field = fields.next().ok_or("fewer fields than the header")??;
            match self.order[at] {
                Column::Key if field.is_empty() => return Err("the key is empty"),
                Column::Key => request.key = RequestKey::parse(&field),
                _ if field.trim().is_empty() => {}
                Column::Time => {
                    request.seconds = Some(seconds(field.trim()).ok_or("the time is no number")?);
                }
                Column::Size => {
                    let bytes = saturating_u32(field.trim().as_bytes());
                    request.size = bytes.ok_or("the size is no number")?;
                }
                Column::Tenant => request.tenant = Some(self.tenant(&field)),
            }
        }
        if fields.next().is_some() {
            return Err("more fields than the header");
        }
        Ok(request)
    }
}

/// Whole seconds of `12`, `12.` or `12.75`.
fn seconds(field: &str) -> Option<i64> {
    let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    whole.parse().ok()
}

/// A foreign name, safe to print in one line.
fn quoted(name: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let shown: String = name.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < name.len() { ".." } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// The fields of one line. Ends after the first error.
struct Fields<'a> {
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(line: &'a str) -> Self {
        Self { rest: Some(line) }
    }

    /// Splits a quoted field, whose opening quote is gone already, from what follows.
    fn quoted(text: &'a str) -> Result<(Cow<'a, str>, Option<&'a str>), &'static str> {
        let mut end = 0;
        let mut doubled = false;
        loop {
            end += text[end..].find('"').ok_or("a quoted field does not end on its line")?;
            if !text[end + 1..].starts_with('"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let field = if doubled {
            Cow::Owned(text[..end].replace("\"\"", "\""))
        } else {
            Cow::Borrowed(&text[..end])
        };
        match &text[end + 1..] {
            "" => Ok((field, None)),
            rest => match rest.strip_prefix(',') {
                Some(rest) => Ok((field, Some(rest))),
                None => Err("text after a closing quote"),
            },
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Cow<'a, str>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        if let Some(text) = text.strip_prefix('"') {
            return Some(Self::quoted(text).map(|(field, rest)| {
                self.rest = rest;
                field
            }));
        }
        let (field, rest) = match text.split_once(',') {
            Some((field, rest)) => (field, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        Some(Ok(Cow::Borrowed(field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Result<Vec<String>, &'static str> {
        Fields::of(line).map(|field| field.map(Cow::into_owned)).collect()
    }

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        let texts = |fields: &[&str]| Ok(fields.iter().map(|&field| field.to_owned()).collect());
        assert_eq!(fields("a,b"), texts(&["a", "b"]));
        assert_eq!(fields("a,,"), texts(&["a", "", ""]));
        assert_eq!(fields(r#""a,b",c"#), texts(&["a,b", "c"]));
        assert_eq!(fields(r#""say ""hi""","""""#), texts(&[r#"say "hi""#, "\""]));
        assert_eq!(fields(r#"a"b,"""#), texts(&[r#"a"b"#, ""]));
        assert_eq!(fields(r#""a"#), Err("a quoted field does not end on its line"));
        assert_eq!(fields(r#""a""#.trim_end_matches('"')), fields(r#""a"#));
        assert_eq!(fields(r#""a"b,c"#), Err("text after a closing quote"));
    }

    #[test]
    fn the_header_names_what_it_does_not_know() {
        let problem = |line: &str| Columns::of_header(line.as_bytes()).map(|c| c.order);
        assert_eq!(problem(" Key ,SIZE"), Ok(vec![Column::Key, Column::Size]));
        assert_eq!(
            problem("size,key,url,\tx y"),
            Err("names the unknown columns \"url\", \"x y\"".into())
        );
        assert_eq!(problem("key,a\u{1b}b"), Err("names the unknown column \"a\\u{1b}b\"".into()));
        assert_eq!(problem("time,size"), Err("names no column key".into()));
        assert_eq!(problem("key,size,key"), Err("names the column key twice".into()));
        assert_eq!(
            problem("key,\"a"),
            Err("cannot be read: a quoted field does not end on its line".into())
        );
    }

    #[test]
    fn tenant_names_are_shared_and_bounded() {
        let mut columns = Columns { order: vec![Column::Key], tenants: HashSet::new() };
        let first = columns.tenant("acme");
        assert!(Arc::ptr_eq(&first, &columns.tenant("acme")));
        for number in 0..3 * TENANTS_MAX {
            columns.tenant(&number.to_string());
        }
        assert!(columns.tenants.len() <= TENANTS_MAX);
    }

    #[test]
    fn times_are_whole_seconds() {
        for (text, expected) in
            [("0", Some(0)), ("12", Some(12)), ("12.", Some(12)), ("12.99", Some(12))]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for text in [".5", "-1", "1e3", "noon", "1.2.3", "99999999999999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
