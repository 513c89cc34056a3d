//! What can go wrong when requests are read, written or generated.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Why a file of requests cannot be used. Every message names the file and fits on one line.
///
/// ```
/// use cache_enterprise_workload::{self as workload, TraceError};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("night.ctr.zst");
/// std::fs::write(&path, b"")?;
/// let error = workload::open(&path).err().ok_or("an empty file was opened")?;
/// assert!(matches!(error, TraceError::Empty { .. }));
/// assert!(error.to_string().ends_with("night.ctr.zst holds no requests"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// The file cannot be opened, read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted, such as `open`, `read` or `write`.
        action: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is readable and has nothing to replay.
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before its last record does.
    Truncated {
        /// The file.
        path: PathBuf,
        /// Whole records before the end.
        records: u64,
        /// Bytes that could be read, counted after decompression.
        offset: u64,
    },
    /// The compressed stream is damaged, or is none.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Bytes that could be read before the damage, counted after decompression.
        offset: u64,
        /// What the decompressor said.
        source: io::Error,
    },
    /// Neither name nor content tell the format.
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        found: &'static str,
    },
    /// The header of a CSV file does not name the columns that are needed.
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; names the columns.
        problem: String,
    },
    /// There are 2^32 requests or more, which a replay cannot number.
    TooLong {
        /// The file in which the last number was used up; files read before it took the others.
        path: PathBuf,
    },
    /// More than a tenth of the lines could not be read.
    TooManySkipped {
        /// The file.
        path: PathBuf,
        /// Lines that could not be read.
        skipped: u64,
        /// All lines that should hold a request.
        lines: u64,
        /// Number of the first line that could not be read, from 1.
        first_line: u64,
        /// Why that line could not be read.
        reason: &'static str,
    },
}

impl TraceError {
    /// The same error, told of the file at `path`: for whoever reads a copy of that file.
    ///
    /// ```
    /// use cache_enterprise_workload::TraceError;
    ///
    /// let error = TraceError::Empty { path: "/tmp/copy".into() };
    /// assert_eq!(error.about("visits.csv").to_string(), "visits.csv holds no requests");
    /// ```
    #[must_use]
    pub fn about(mut self, path: impl Into<PathBuf>) -> Self {
        let (Self::Io { path: file, .. }
        | Self::Empty { path: file }
        | Self::Truncated { path: file, .. }
        | Self::Corrupt { path: file, .. }
        | Self::Unrecognised { path: file, .. }
        | Self::Header { path: file, .. }
        | Self::TooLong { path: file }
        | Self::TooManySkipped { path: file, .. }) = &mut self;
        *file = path.into();
        self
    }

    /// What `action` on the file at `path` failed with; made for `map_err`.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, action, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::Empty { path } => write!(f, "{} holds no requests", path.display()),
            Self::Truncated { path, records, offset } => write!(
                f,
                "{} is cut off after {records} whole records, at byte {offset} of its decompressed \
                 content",
                path.display()
            ),
            Self::Corrupt { path, offset, source } => write!(
                f,
                "{} is damaged or not a zstd stream, at byte {offset} of its decompressed content: \
                 {source}",
                path.display()
            ),
            Self::Unrecognised { path, found } => write!(
                f,
                "{} is {found}; expected a .ctr.zst trace, an access log in common log format or \
                 CSV with a header key[,time,size,tenant]",
                path.display()
            ),
            Self::Header { path, problem } => {
                write!(
                    f,
                    "the header of {} {problem}; expected key[,time,size,tenant]",
                    path.display()
                )
            }
            Self::TooLong { path } => {
                write!(f, "{} brings the requests to more than 4294967295", path.display())
            }
            Self::TooManySkipped { path, skipped, lines, first_line, reason } => {
                // Rounded up, so that a share just over the limit never reads as the limit itself.
                let permille = (u128::from(*skipped) * 1000).div_ceil(u128::from((*lines).max(1)));
                write!(
                    f,
                    "{}: {skipped} of {lines} lines ({}.{} %) could not be read, more than 10 %; \
                     the first is line {first_line}: {reason}",
                    path.display(),
                    permille / 10,
                    permille % 10
                )
            }
        }
    }
}

impl Error for TraceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Corrupt { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A parameter with which no workload can be generated.
///
/// ```
/// use cache_enterprise_workload::Zipf;
///
/// let error = Zipf::new(0, 1.0).err().ok_or("a law over no ranks")?;
/// assert_eq!(error.to_string(), "ranks must lie in 1..=2^40");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterError {
    parameter: &'static str,
    requirement: &'static str,
}

impl ParameterError {
    pub(crate) fn new(parameter: &'static str, requirement: &'static str) -> Self {
        Self { parameter, requirement }
    }

    /// Name of the parameter.
    pub fn parameter(&self) -> &'static str {
        self.parameter
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.parameter, self.requirement)
    }
}

impl Error for ParameterError {}
