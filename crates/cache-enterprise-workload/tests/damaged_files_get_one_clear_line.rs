//! Files that are cut, empty, damaged or of another kind: one error, on one line, with the file's
//! name.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read};
use std::path::PathBuf;

use cache_enterprise_workload::{
    self as workload, AccessLogReader, Format, Request, RequestKey, TraceError, TraceReader,
    TraceWriter,
};
use tempfile::TempDir;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Reads a whole file that must fail, checks the form of the message and gives it without the
    /// directory.
    fn refused(&self, name: &str, content: impl AsRef<[u8]>) -> (TraceError, String) {
        let error = workload::scan(self.with(name, content)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(name), "{message}");
        assert!(!message.contains('\n'), "{message}");
        let directory = format!("{}/", self.0.path().display());
        (error, message.replace(&directory, ""))
    }
}

fn trace(records: u64) -> Vec<u8> {
    let mut writer = TraceWriter::new(Vec::new(), "test.ctr.zst").unwrap();
    for id in 0..records {
        writer.write(&Request::new(RequestKey::Id(id * id))).unwrap();
    }
    writer.finish().unwrap()
}

fn log_line(number: u32) -> String {
    format!("h - - [10/Oct/2000:13:55:{:02} -0700] \"GET /{number} HTTP/1.1\" 200 5\n", number % 60)
}

#[test]
fn empty_files_hold_no_requests() {
    let files = Files::new();
    for name in ["a.ctr.zst", "a.log", "a.csv", "a"] {
        let (error, message) = files.refused(name, "");
        assert!(matches!(error, TraceError::Empty { .. }), "{error:?}");
        assert_eq!(message, format!("{name} holds no requests"));
    }
    for (name, content) in [
        ("b.ctr.zst", zstd::encode_all(&b""[..], 3).unwrap()),
        ("b.csv", b"key,size\n\n".to_vec()),
        ("b.log", b"\n\n".to_vec()),
        ("c.log.zst", zstd::encode_all(&b""[..], 3).unwrap()),
    ] {
        let (error, _) = files.refused(name, content);
        assert!(matches!(error, TraceError::Empty { .. }), "{error:?}");
    }
}

#[test]
fn a_refused_request_is_a_skipped_line_with_its_number() {
    let files = Files::new();
    let is_small = |request: &Request| if request.size < 9 { Ok(()) } else { Err("too large") };
    let csv = format!("key,size\nx,9\n\ny\nz,9\n{}", "k,1\n".repeat(17));
    let mut requests = workload::open(files.with("a.csv", csv)).unwrap().only(is_small);
    assert_eq!(requests.by_ref().count(), 17);
    let report = requests.report();
    assert_eq!((report.read, report.skipped), (17, 3), "two refused, one without a size");
    let first = report.first_skipped.unwrap();
    assert_eq!((first.line, first.reason), (2, "too large"));

    let none = workload::open(files.with("a.ctr.zst", trace(3))).unwrap().only(|_| Err("no"));
    let message = none.scan().unwrap_err().to_string();
    assert!(message.contains("3 of 3 lines") && message.ends_with("line 1: no"), "{message}");
}

#[test]
fn a_trace_cut_inside_its_last_record_says_where() {
    let files = Files::new();
    let plain = zstd::decode_all(&trace(3)[..]).unwrap();
    let cut = zstd::encode_all(&plain[..2 * 16 + 5], 3).unwrap();
    let (error, message) = files.refused("cut.ctr.zst", cut);
    assert!(matches!(error, TraceError::Truncated { records: 2, offset: 37, .. }), "{error:?}");
    assert_eq!(
        message,
        "cut.ctr.zst is cut off after 2 whole records, at byte 37 of its decompressed content"
    );
}

#[test]
fn a_stream_cut_anywhere_is_an_error_and_never_a_shorter_trace() {
    let whole = trace(500);
    for length in 1..whole.len() {
        let mut reader = TraceReader::new(&whole[..length], "cut.ctr.zst").unwrap();
        let outcome: Result<Vec<_>, _> = reader.by_ref().collect();
        assert!(matches!(outcome, Err(TraceError::Truncated { .. })), "{length}: {outcome:?}");
        assert!(reader.next().is_none(), "nothing follows an error");
    }
}

#[test]
fn a_trace_that_was_not_finished_is_refused_whatever_its_length() {
    let unfinished = |records: u64| {
        let mut bytes = Vec::new();
        let mut writer = TraceWriter::new(&mut bytes, "unfinished.ctr.zst").unwrap();
        for id in 0..records {
            writer.write(&Request::new(RequestKey::Id(id * id))).unwrap();
        }
        drop(writer);
        bytes
    };
    let files = Files::new();
    for records in [0, 1, 500] {
        let (error, _) = files.refused("short.ctr.zst", unfinished(records));
        assert!(matches!(error, TraceError::Empty { .. }), "{records}: {error:?}");
    }
    let (error, _) = files.refused("long.ctr.zst", unfinished(500_000));
    assert!(matches!(error, TraceError::Truncated { records: 1.., .. }), "{error:?}");
}

#[test]
fn a_changed_bit_is_an_error_or_changes_nothing() {
    let whole = trace(500);
    let expected: Vec<_> = TraceReader::new(&whole[..], "t").unwrap().map(Result::unwrap).collect();
    let mut noticed = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let read: Result<Vec<_>, _> = TraceReader::new(&bytes[..], "t").unwrap().collect();
        match read {
            Ok(read) => assert_eq!(read, expected, "byte {at}"),
            Err(TraceError::Corrupt { .. } | TraceError::Truncated { .. }) => noticed += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(noticed > whole.len() * 9 / 10, "{noticed} of {}", whole.len());
}

#[test]
fn what_is_no_trace_is_named_so() {
    let files = Files::new();
    let (error, message) = files.refused("words.ctr.zst", "these are plain words, not a stream");
    assert!(matches!(error, TraceError::Corrupt { offset: 0, .. }), "{error:?}");
    assert!(message.starts_with("words.ctr.zst is damaged or not a zstd stream, at byte 0"));

    let (error, _) = files.refused("words.txt", "these are plain words\nin two lines\n");
    assert!(matches!(error, TraceError::Unrecognised { .. }), "{error:?}");
    let (_, message) = files.refused("access.log.gz", b"\x1f\x8b\x08\0\0\0\0\0");
    assert!(message.contains("compressed with gzip"), "{message}");
    let (_, message) = files.refused("renamed.zst", trace(9));
    assert!(message.contains("binary data of an unknown kind"), "{message}");
}

#[test]
fn files_that_are_not_there_say_so() {
    let files = Files::new();
    for name in ["none.ctr.zst", "none.log", "none.csv"] {
        let error = workload::open(files.0.path().join(name)).unwrap_err();
        assert!(matches!(error, TraceError::Io { action: "open", .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = workload::open(files.0.path()).unwrap_err();
    assert!(matches!(error, TraceError::Io { .. }), "a directory: {error:?}");
}

#[test]
fn headers_that_do_not_fit_are_explained() {
    let files = Files::new();
    let (_, message) = files.refused("a.csv", "key,url,agent\n1,2,3\n");
    assert_eq!(
        message,
        "the header of a.csv names the unknown columns \"url\", \"agent\"; \
         expected key[,time,size,tenant]"
    );
    let (_, message) = files.refused("b.csv", "time,size\n1,2\n");
    assert!(message.starts_with("the header of b.csv names no column key"), "{message}");
}

#[test]
fn more_than_a_tenth_of_bad_lines_is_an_error() {
    let files = Files::new();
    let log = |bad: u32| -> String {
        let bad = std::iter::repeat_n("broken\n".to_owned(), bad as usize);
        (0..90).map(log_line).chain(bad).collect()
    };
    let report = workload::scan(files.with("good.log", log(10))).unwrap();
    assert_eq!((report.read, report.skipped), (90, 10));
    assert_eq!(report.first_skipped.map(|first| first.line), Some(91));

    let (error, message) = files.refused("bad.log", log(11));
    assert!(matches!(error, TraceError::TooManySkipped { skipped: 11, lines: 101, .. }));
    assert_eq!(
        message,
        "bad.log: 11 of 101 lines (10.9 %) could not be read, more than 10 %; \
         the first is line 91: no [time] in brackets"
    );

    let (_, message) = files.refused("keys.csv", "key,size\n1,2\n1,two\n1,2\n");
    assert_eq!(
        message,
        "keys.csv: 1 of 3 lines (33.4 %) could not be read, more than 10 %; \
         the first is line 3: the size is no number"
    );
}

#[test]
fn a_file_without_any_good_line_is_refused_at_the_door() {
    let files = Files::new();
    let path = files.with("noise.log", "one\ntwo\nthree\n");
    let error = workload::open(&path).unwrap_err();
    assert!(matches!(error, TraceError::TooManySkipped { skipped: 3, lines: 3, .. }), "{error:?}");
    let error = workload::open_as(&path, Format::Trace).unwrap_err();
    assert!(matches!(error, TraceError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_cut_stream_of_text_is_an_error_too() {
    let text: String = (0..5000).map(log_line).collect();
    let whole = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let files = Files::new();
    let report = workload::scan(files.with("all.log.zst", &whole)).unwrap();
    assert_eq!(report.read, 5000);
    let (error, _) = files.refused("cut.log.zst", &whole[..whole.len() / 2]);
    assert!(matches!(error, TraceError::Io { action: "read", .. }), "{error:?}");
}

#[test]
fn too_many_requests_in_several_files_are_not_blamed_on_the_last_alone() {
    let error = TraceError::TooLong { path: "access.log".into() };
    assert_eq!(error.to_string(), "access.log brings the requests to more than 4294967295");
}

/// Gives one line, then fails as a disk does.
struct FailingDisk(bool);

impl Read for FailingDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let line = log_line(1);
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

#[test]
fn an_error_of_the_system_is_passed_on_once() {
    let mut reader = AccessLogReader::new(io::BufReader::new(FailingDisk(false)), "a.log");
    assert!(reader.next().is_some_and(|first| first.is_ok()));
    assert!(matches!(reader.next(), Some(Err(TraceError::Io { action: "read", .. }))));
    assert!(reader.next().is_none());

    let disk = io::BufReader::new(FailingDisk(true));
    let error = TraceReader::new(disk, "a.ctr.zst").unwrap_err();
    assert!(matches!(error, TraceError::Io { action: "read", .. }), "{error:?}");

    // The file's bytes come first, then the disk fails under the decompressor.
    let whole = trace(500);
    let disk = io::BufReader::new(whole[..100].chain(FailingDisk(true)));
    let mut reader = TraceReader::new(disk, "a.ctr.zst").unwrap();
    let last = reader.by_ref().last();
    assert!(matches!(last, Some(Err(TraceError::Io { action: "read", .. }))), "{last:?}");
}
