//! One door for all formats: look at a file, pick its reader.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use zstd::stream::read::Decoder;

use crate::{
    AccessLogReader, CsvReader, Report, Request, TraceError, TraceReader, access_log, csv,
};

/// How much of a text is looked at before its format is decided.
const HEAD_BYTES: usize = 64 * 1024;

const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// A format of recorded requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// 16-byte records in a Zstandard stream; see [`trace`](crate::trace).
    Trace,
    /// Common Log Format; see [`access_log`](crate::access_log).
    AccessLog,
    /// A header and comma-separated fields; see [`csv`](crate::csv).
    Csv,
}

type Input = Box<dyn BufRead + Send>;

/// The requests of one file, in its order. Made by [`open`] and [`open_as`].
///
/// After an error the iterator ends.
pub struct Requests {
    reader: Reader,
    /// The first request, read by `open` so that a file without any is refused there.
    first: Option<Request>,
    judge: Option<Judge>,
}

/// Says why a request cannot be used, in words that do not show it.
type Judge = fn(&Request) -> Result<(), &'static str>;

enum Reader {
    Trace(TraceReader<BufReader<File>>),
    AccessLog(AccessLogReader<Input>),
    Csv(CsvReader<Input>),
}

/// Opens the file at `path` in the format it has.
///
/// A name with a [`trace_stem`] is a trace's. Anything else must be text, plain or in a Zstandard
/// stream: a known CSV header or a line of an access log in its first 64 KiB decides, then the
/// endings `.csv` and `.log`. Of a pipe it waits for these bytes or the end.
///
/// Text may hold lines that cannot be read: ask [`Requests::report`] for a
/// [`check`](Report::check) at the end, or [`scan`] the file before.
///
/// # Errors
/// [`TraceError::Unrecognised`] when no format fits; [`TraceError::Empty`] when there is no
/// request; [`TraceError::TooManySkipped`] when no line could be read; what the reader of the
/// format says to the beginning of the file; [`TraceError::Io`] when the file cannot be read.
///
/// ```
/// use cache_enterprise_workload::{self as workload, Format};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("visits.txt");
/// std::fs::write(&path, "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5\n")?;
///
/// let requests = workload::open(&path)?;
/// assert_eq!(requests.format(), Format::AccessLog);
/// assert_eq!(requests.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(path: impl AsRef<Path>) -> Result<Requests, TraceError> {
    let path = path.as_ref();
    if trace_stem(path).is_some() {
        return open_as(path, Format::Trace);
    }
    let (head, input) =
        head(text_input(path)?, HEAD_BYTES).map_err(TraceError::io(path, "read"))?;
    if head.is_empty() {
        return Err(TraceError::Empty { path: path.to_owned() });
    }
    let (is_csv, input) = (is_csv(path, &head)?, Box::new(input));
    Requests::new(if is_csv { Reader::csv(path, input)? } else { Reader::access_log(path, input) })
}

/// Opens the file at `path` in the given format, whatever its name and content look like.
///
/// # Errors
/// As [`open`], without [`TraceError::Unrecognised`].
///
/// ```
/// use cache_enterprise_workload::{self as workload, Format, Request, TraceWriter};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("unnamed");
/// let mut writer = TraceWriter::create(&path)?;
/// writer.write(&Request::new(7.into()))?;
/// writer.finish()?;
/// assert_eq!(workload::open_as(&path, Format::Trace)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_as(path: impl AsRef<Path>, format: Format) -> Result<Requests, TraceError> {
    let path = path.as_ref();
    Requests::new(match format {
        Format::Trace => Reader::Trace(TraceReader::open(path)?),
        Format::AccessLog => Reader::access_log(path, text_input(path)?),
        Format::Csv => Reader::csv(path, text_input(path)?)?,
    })
}

/// Reads the whole file at `path` once, keeps nothing, and says how many requests it holds.
///
/// Worth its one pass before a long replay: damage and unreadable lines show before the start
/// instead of at the end.
///
/// # Errors
/// As [`open`] and [`Report::check`].
///
/// ```
/// use cache_enterprise_workload as workload;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("keys.csv");
/// std::fs::write(&path, "key\n1\n2\n1\n")?;
/// assert_eq!(workload::scan(&path)?.read, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scan(path: impl AsRef<Path>) -> Result<Report, TraceError> {
    open(path)?.scan()
}

impl Requests {
    fn new(reader: Reader) -> Result<Self, TraceError> {
        let mut requests = Self { reader, first: None, judge: None };
        match requests.next() {
            Some(first) => requests.first = Some(first?),
            // An end without a request: nothing there, or nothing but skipped lines.
            None => requests.report().check()?,
        }
        Ok(requests)
    }

    /// The same requests without those that `judge` finds a fault with. These count as skipped
    /// lines, or records of a trace, and the fault as the reason.
    ///
    /// ```
    /// use cache_enterprise_workload as workload;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("visits.csv");
    /// std::fs::write(&path, "key,size\n/home,512\n/film,4000000\n")?;
    ///
    /// let is_small = |request: &workload::Request| match request.size {
    ///     0..1_000_000 => Ok(()),
    ///     _ => Err("the object is too large"),
    /// };
    /// let mut requests = workload::open(&path)?.only(is_small);
    /// assert_eq!(requests.by_ref().count(), 1);
    /// assert_eq!((requests.report().read, requests.report().skipped), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn only(self, judge: fn(&Request) -> Result<(), &'static str>) -> Self {
        Self { judge: Some(judge), ..self }
    }

    /// Reads what is left, keeps nothing, and says how many requests there were; see [`scan`].
    ///
    /// # Errors
    /// What the reader says, and as [`Report::check`].
    pub fn scan(mut self) -> Result<Report, TraceError> {
        for request in self.by_ref() {
            request?;
        }
        self.report().check()?;
        Ok(self.report().clone())
    }

    /// The format that was recognised or asked for.
    pub fn format(&self) -> Format {
        match self.reader {
            Reader::Trace(_) => Format::Trace,
            Reader::AccessLog(_) => Format::AccessLog,
            Reader::Csv(_) => Format::Csv,
        }
    }

    /// Requests read and lines skipped so far. The first request counts from the start, for opening
    /// reads it.
    pub fn report(&self) -> &Report {
        match &self.reader {
            Reader::Trace(reader) => reader.report(),
            Reader::AccessLog(reader) => reader.report(),
            Reader::Csv(reader) => reader.report(),
        }
    }
}

impl Iterator for Requests {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let request = match self.first.take() {
                Some(first) => first,
                None => match self.reader.next()? {
                    Ok(request) => request,
                    Err(error) => return Some(Err(error)),
                },
            };
            match self.judge.map_or(Ok(()), |judge| judge(&request)) {
                Ok(()) => return Some(Ok(request)),
                Err(reason) => self.reader.refuse(reason),
            }
        }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("format", &self.format())
            .field("report", self.report())
            .finish_non_exhaustive()
    }
}

impl Reader {
    fn access_log(path: &Path, input: Input) -> Self {
        Self::AccessLog(AccessLogReader::new(input, path))
    }

    fn csv(path: &Path, input: Input) -> Result<Self, TraceError> {
        Ok(Self::Csv(CsvReader::new(input, path)?))
    }

    fn next(&mut self) -> Option<Result<Request, TraceError>> {
        match self {
            Self::Trace(reader) => reader.next(),
            Self::AccessLog(reader) => reader.next(),
            Self::Csv(reader) => reader.next(),
        }
    }

    fn refuse(&mut self, reason: &'static str) {
        match self {
            Self::Trace(reader) => reader.refuse(reason),
            Self::AccessLog(reader) => reader.refuse(reason),
            Self::Csv(reader) => reader.refuse(reason),
        }
    }
}

/// The text at `path`, decompressed when it is a Zstandard stream.
fn text_input(path: &Path) -> Result<Input, TraceError> {
    let file = File::open(path).map_err(TraceError::io(path, "open"))?;
    plain_text(file).map_err(TraceError::io(path, "read"))
}

fn plain_text(file: impl Read + Send + 'static) -> io::Result<Input> {
    let (magic, file) = head(BufReader::with_capacity(HEAD_BYTES, file), ZSTD_MAGIC.len())?;
    if magic != ZSTD_MAGIC {
        return Ok(Box::new(file));
    }
    let decoder = Decoder::with_buffer(file)?;
    Ok(Box::new(BufReader::with_capacity(HEAD_BYTES, decoder)))
}

/// The first `bytes` of the input, fewer only where it ends, and all of it to be read. One read may
/// give far less: from a pipe what was written, of a Zstandard stream a frame.
fn head<R: BufRead>(mut input: R, bytes: usize) -> io::Result<(Vec<u8>, impl BufRead)> {
    let mut head = Vec::new();
    input.by_ref().take(bytes as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// Whether the text is CSV, else it is an access log; content decides before the name.
fn is_csv(path: &Path, head: &[u8]) -> Result<bool, TraceError> {
    let unrecognised = |found| Err(TraceError::Unrecognised { path: path.to_owned(), found });
    if head.starts_with(GZIP_MAGIC) {
        return unrecognised("compressed with gzip, to be unpacked first");
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let header = lines.clone().find(|line| !line.is_empty());
    if header.is_some_and(csv::is_header) {
        return Ok(true);
    }
    if lines.any(access_log::is_log_line) {
        return Ok(false);
    }
    if name_ends(path, &[".csv", ".csv.zst"]) {
        return Ok(true);
    }
    if name_ends(path, &[".log", ".log.zst"]) {
        return Ok(false);
    }
    if head.contains(&0) {
        return unrecognised("binary data of an unknown kind");
    }
    unrecognised("text of an unknown kind")
}

/// The file's name without the ending of a request trace, `.ctr.zst` in any case; nothing where it
/// has no such ending.
///
/// ```
/// use cache_enterprise_workload as workload;
///
/// assert_eq!(workload::trace_stem("nights/Night.CTR.zst").as_deref(), Some("Night"));
/// assert_eq!(workload::trace_stem("nights/night.csv.zst"), None);
/// ```
pub fn trace_stem(path: impl AsRef<Path>) -> Option<String> {
    const ENDING: &str = ".ctr.zst";
    let mut name = path.as_ref().file_name()?.to_string_lossy().into_owned();
    let length = name.len().checked_sub(ENDING.len())?;
    name_ends(path.as_ref(), &[ENDING]).then(|| name.truncate(length))?;
    Some(name)
}

fn name_ends(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(name: &str, head: &[u8]) -> Result<bool, String> {
        is_csv(Path::new(name), head).map_err(|error| error.to_string())
    }

    #[test]
    fn content_decides_before_the_name() {
        let log = b"# rotated\nh - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5\n";
        assert_eq!(csv("access.csv", log), Ok(false));
        assert_eq!(csv("keys.log", b"\xef\xbb\xbf\r\nsize,key\r\n1,2\r\n"), Ok(true));
        assert_eq!(csv("ACCESS.LOG", b"hello"), Ok(false));
        assert_eq!(csv("keys.csv", b"url,when\n"), Ok(true));
    }

    /// Gives a byte at a time, as a slow pipe does.
    struct Dripping(Cursor<Vec<u8>>);

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn a_stream_that_comes_byte_by_byte_is_known_and_whole() -> io::Result<()> {
        let text = b"key,size\n1,2\n".repeat(9_000);
        for file in [text.clone(), zstd::encode_all(&text[..], 3)?, b"k".to_vec(), Vec::new()] {
            let is_packed = file.starts_with(ZSTD_MAGIC);
            let expected = if is_packed { text.clone() } else { file.clone() };
            let input = plain_text(Dripping(Cursor::new(file)))?;
            let (head, mut input) = head(input, HEAD_BYTES)?;
            assert_eq!(head, expected[..expected.len().min(HEAD_BYTES)]);
            let mut all = Vec::new();
            input.read_to_end(&mut all)?;
            assert!(all == expected, "{} of {} bytes", all.len(), expected.len());
        }
        Ok(())
    }

    #[test]
    fn requests_and_operations_may_move_to_a_worker() {
        fn moves<T: Send + 'static>() {}
        moves::<Requests>();
        moves::<crate::Operations>();
    }

    #[test]
    fn what_fits_nothing_is_named() {
        let found = |head: &[u8]| csv("notes.txt", head).err().unwrap_or_default();
        assert!(found(b"hello\n").starts_with("notes.txt is text of an unknown kind; expected"));
        assert!(found(b"\x7fELF\0").starts_with("notes.txt is binary data"));
        assert!(found(b"\x1f\x8b\x08").contains("gzip"));
    }
}
