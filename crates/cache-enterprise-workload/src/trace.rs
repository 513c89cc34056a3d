//! Request traces: 16-byte little-endian records in a Zstandard stream (`.ctr.zst`).
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u32 | seconds since the start of the trace; 0 throughout when the source has none |
//! | 4 | u64 | key: an opaque object id |
//! | 12 | u32 | object size in bytes; 1 throughout when unknown |
//!
//! There is no header and no padding; the order of the records is the order of the requests.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use zstd::stream::{read, write};

use crate::{Report, Request, RequestKey, TraceError};

const RECORD_BYTES: usize = 16;

/// Level of written traces: the records repeat little, higher levels gain a few per cent.
const COMPRESSION_LEVEL: i32 = 9;

/// Reads a trace record by record.
///
/// Holds the decompressor's window (at most 128 MiB, what `zstd` accepts without being asked; 4 MiB
/// is usual) and one buffer. After an error the iterator ends.
///
/// ```
/// use cache_enterprise_workload::{Request, TraceReader, TraceWriter};
///
/// let mut writer = TraceWriter::new(Vec::new(), "three.ctr.zst")?;
/// for id in [1, 2, 1] {
///     writer.write(&Request::new(id.into()))?;
/// }
/// let bytes = writer.finish()?;
///
/// let reader = TraceReader::new(&bytes[..], "three.ctr.zst")?;
/// let keys: Vec<String> = reader.map(|r| r.map(|r| r.key.to_string())).collect::<Result<_, _>>()?;
/// assert_eq!(keys, ["1", "2", "1"]);
/// # Ok::<(), cache_enterprise_workload::TraceError>(())
/// ```
pub struct TraceReader<R: BufRead> {
    input: BufReader<read::Decoder<'static, R>>,
    report: Report,
    ended: bool,
}

impl TraceReader<BufReader<File>> {
    /// Opens the trace at `path`.
    ///
    /// # Errors
    /// As [`TraceReader::new`]; [`TraceError::Io`] also when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(TraceError::io(path, "open"))?;
        Self::new(BufReader::new(file), path)
    }
}

impl<R: BufRead> TraceReader<R> {
    /// Reads a trace from `input`; `path` is its name in errors. Records are looked at by the
    /// iterator.
    ///
    /// # Errors
    /// [`TraceError::Empty`] when there is not a byte, which the decompressor could not tell from a
    /// cut stream; [`TraceError::Io`] when the input cannot be read.
    pub fn new(mut input: R, path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let failed = TraceError::io(path, "read");
        if input.fill_buf().map_err(failed)?.is_empty() {
            return Err(TraceError::Empty { path: path.to_owned() });
        }
        let decoder = read::Decoder::with_buffer(input).map_err(failed)?;
        Ok(Self { input: BufReader::new(decoder), report: Report::new(path), ended: false })
    }

    /// Requests read so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Counts the record that was given out last as skipped.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.report.refuse(self.report.lines(), reason);
    }

    fn next_record(&mut self) -> Result<Option<Request>, TraceError> {
        let mut record = [0; RECORD_BYTES];
        let mut filled = 0;
        while filled < RECORD_BYTES {
            match self.input.read(&mut record[filled..]) {
                Ok(0) if filled > 0 => return Err(self.truncated(filled)),
                Ok(0) if self.report.lines() == 0 => {
                    return Err(TraceError::Empty { path: self.report.path.clone() });
                }
                Ok(0) => return Ok(None),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(filled, error)),
            }
        }
        self.report.read += 1;
        Ok(Some(decode(&record)))
    }

    fn offset(&self, filled: usize) -> u64 {
        self.report.lines() * RECORD_BYTES as u64 + filled as u64
    }

    fn truncated(&self, filled: usize) -> TraceError {
        TraceError::Truncated {
            path: self.report.path.clone(),
            records: self.report.lines(),
            offset: self.offset(filled),
        }
    }

    /// The decompressor answers `UnexpectedEof` when its stream is cut and any other kind when it
    /// is damaged; only the system's own errors carry a number.
    fn unreadable(&self, filled: usize, source: io::Error) -> TraceError {
        if source.raw_os_error().is_some() {
            return TraceError::io(&self.report.path, "read")(source);
        }
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.truncated(filled);
        }
        TraceError::Corrupt { path: self.report.path.clone(), offset: self.offset(filled), source }
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_record().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<R: BufRead> fmt::Debug for TraceReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceReader").field("report", &self.report).finish_non_exhaustive()
    }
}

/// Writes a trace record by record.
///
/// Text keys and tenants become ids through [`Request::object_id`]: the format knows numbers only.
/// A trace that is dropped without [`finish`](Self::finish) is truncated, or empty where it was
/// short, and is refused by the reader.
pub struct TraceWriter<W: Write> {
    output: BufWriter<write::Encoder<'static, W>>,
    path: PathBuf,
}

impl TraceWriter<File> {
    /// Creates the trace at `path`, or empties the file that is there.
    ///
    /// # Errors
    /// [`TraceError::Io`] when the file cannot be created.
    ///
    /// ```
    /// use cache_enterprise_workload::{Request, TraceReader, TraceWriter};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("one.ctr.zst");
    /// let mut writer = TraceWriter::create(&path)?;
    /// writer.write(&Request::new(7.into()).with_size(512))?;
    /// writer.finish()?;
    /// assert_eq!(TraceReader::open(&path)?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let file = File::create(path).map_err(TraceError::io(path, "write"))?;
        Self::new(file, path)
    }
}

impl<W: Write> TraceWriter<W> {
    /// Writes a trace to `output`; `path` is its name in errors.
    ///
    /// # Errors
    /// [`TraceError::Io`] when the compressor cannot be set up for want of memory.
    pub fn new(output: W, path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let encoder = write::Encoder::new(output, COMPRESSION_LEVEL)
            .and_then(|mut encoder| {
                encoder.include_checksum(true)?;
                Ok(encoder)
            })
            .map_err(TraceError::io(path, "write"))?;
        Ok(Self { output: BufWriter::new(encoder), path: path.to_owned() })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`TraceError::Io`] when the output refuses the bytes.
    pub fn write(&mut self, request: &Request) -> Result<(), TraceError> {
        self.output.write_all(&encode(request)).map_err(TraceError::io(&self.path, "write"))
    }

    /// Ends the stream and gives the output back.
    ///
    /// # Errors
    /// [`TraceError::Io`] when the output refuses the last bytes.
    pub fn finish(self) -> Result<W, TraceError> {
        let Self { output, path } = self;
        output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(write::Encoder::finish)
            .and_then(|mut inner| inner.flush().map(|()| inner))
            .map_err(TraceError::io(&path, "write"))
    }
}

impl<W: Write> fmt::Debug for TraceWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

fn decode(record: &[u8; RECORD_BYTES]) -> Request {
    // One little-endian number of 128 bits: the fields are its shifts, in the order of the table.
    let fields = u128::from_le_bytes(*record);
    Request {
        time: fields as u32,
        key: RequestKey::Id((fields >> 32) as u64),
        size: (fields >> 96) as u32,
        tenant: None,
    }
}

fn encode(request: &Request) -> [u8; RECORD_BYTES] {
    let fields = u128::from(request.time)
        | u128::from(request.object_id()) << 32
        | u128::from(request.size) << 96;
    fields.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_follow_the_table() {
        let mut record = [0; RECORD_BYTES];
        record[0..4].copy_from_slice(&3600_u32.to_le_bytes());
        record[4..12].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_le_bytes());
        record[12..16].copy_from_slice(&8192_u32.to_le_bytes());
        let request = Request {
            time: 3600,
            key: RequestKey::Id(0x0123_4567_89ab_cdef),
            size: 8192,
            tenant: None,
        };
        assert_eq!(decode(&record), request);
        assert_eq!(encode(&request), record);
    }
}
