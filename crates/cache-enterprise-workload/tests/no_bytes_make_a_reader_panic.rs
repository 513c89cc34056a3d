//! Readers meet any bytes at all, and bytes that are nearly right, without a panic or a lost line.

#![allow(clippy::unwrap_used)]

use cache_enterprise_workload::{AccessLogReader, CsvReader, RequestKey, TraceReader};
use proptest::prelude::*;

const LOG_LINE: &[u8] =
    br#"h - - [10/Oct/2000:13:55:36 -0700] "GET /a?\"b\" HTTP/1.1" 200 512 "-" "Agent""#;
const CSV_ROW: &[u8] = br#""a,""b""",1700000000.5,512,"acme""#;

/// Texts near `line`: pieces of it, cut and glued, with foreign bytes between.
fn mutated(line: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let piece =
        (0..line.len(), 0..line.len()).prop_map(move |(a, b)| line[a.min(b)..a.max(b)].to_vec());
    let whole = Just(line.to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    let part = prop_oneof![4 => piece, 1 => whole, 2 => noise, 2 => Just(b"\n".to_vec())];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..2000)
}

/// Lines that are not blank, as the readers count them.
fn filled_lines(text: &[u8]) -> u64 {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64
}

fn read_log(text: &[u8]) -> Result<(), TestCaseError> {
    let mut reader = AccessLogReader::new(text, "any.log");
    let read = reader.by_ref().map(Result::unwrap).count() as u64;
    prop_assert_eq!(reader.report().read, read);
    prop_assert_eq!(reader.report().lines(), filled_lines(text));
    Ok(())
}

fn read_csv(rows: &[u8]) -> Result<(), TestCaseError> {
    let text = [b"key,time,size,tenant\n", rows].concat();
    let mut reader = CsvReader::new(&text[..], "any.csv").unwrap();
    let read = reader.by_ref().map(Result::unwrap).count() as u64;
    prop_assert_eq!(reader.report().read, read);
    prop_assert_eq!(reader.report().lines() + 1, filled_lines(&text));
    Ok(())
}

proptest! {
    #[test]
    fn logs_of_any_bytes(text in anything()) {
        read_log(&text)?;
    }

    #[test]
    fn logs_that_are_nearly_right(text in mutated(LOG_LINE)) {
        read_log(&text)?;
    }

    #[test]
    fn rows_of_any_bytes(rows in anything()) {
        read_csv(&rows)?;
    }

    #[test]
    fn rows_that_are_nearly_right(rows in mutated(CSV_ROW)) {
        read_csv(&rows)?;
    }

    #[test]
    fn headers_of_any_bytes(text in anything()) {
        if let Ok(reader) = CsvReader::new(&text[..], "any.csv") {
            reader.for_each(|request| drop(request.unwrap()));
        }
    }

    #[test]
    fn traces_of_any_bytes(bytes in anything()) {
        match TraceReader::new(&bytes[..], "any.ctr.zst") {
            Ok(reader) => prop_assert!(reader.last().is_some_and(|last| last.is_err())),
            Err(_) => prop_assert!(bytes.is_empty()),
        }
    }

    #[test]
    fn traces_of_any_records(plain in anything()) {
        let bytes = zstd::encode_all(&plain[..], 1).unwrap();
        let mut reader = TraceReader::new(&bytes[..], "any.ctr.zst").unwrap();
        let whole = reader.by_ref().filter(Result::is_ok).count();
        prop_assert_eq!(whole, plain.len() / 16);
    }

    #[test]
    fn any_field_survives_quoting(key in "\\PC{1,30}", tenant in "\\PC{1,30}") {
        prop_assume!(!tenant.trim().is_empty());
        let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
        let text = format!("tenant,key\n{},{}\n", quoted(&tenant), quoted(&key));
        let mut reader = CsvReader::new(text.as_bytes(), "any.csv").unwrap();
        let request = reader.next().unwrap().unwrap();
        prop_assert_eq!(request.key, RequestKey::parse(&key));
        prop_assert_eq!(request.tenant.as_deref(), Some(tenant.as_str()));
    }

    #[test]
    fn keys_show_the_text_they_were_read_from(text in "[0-9]{0,25}|\\PC{0,20}") {
        prop_assert_eq!(RequestKey::parse(&text).to_string(), text);
    }
}
