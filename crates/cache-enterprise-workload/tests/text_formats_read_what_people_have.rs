//! Access logs and CSV files as they are found, with the requests they must give.

#![allow(clippy::unwrap_used)]

use cache_enterprise_workload::{self as workload, Format, Report, Request};

fn read(name: &str, content: impl AsRef<[u8]>) -> (Vec<Request>, Format, Report) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    let mut requests = workload::open(&path).unwrap();
    let read = requests.by_ref().collect::<Result<_, _>>().unwrap();
    (read, requests.format(), requests.report().clone())
}

fn shown(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .map(|r| format!("{} {} {} {}", r.time, r.key, r.size, r.tenant.as_deref().unwrap_or("-")))
        .collect()
}

const LOG: &str = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326
2001:db8::7 - - [10/Oct/2000:13:55:38 -0700] "GET /search?q=%22a%22&page=2 HTTP/1.1" 200 10240 "https://a.example/" "Mozilla/5.0 (X11; Linux) \"odd\""
127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "HEAD / HTTP/1.1" 304 - "-" "curl/8"
198.51.100.4 - - [10/Oct/2000:13:55:39 -0700] "\x16\x03\x01" 400 150 "-" "-"
shop.example:443 10.0.0.1 - - [10/Oct/2000:23:55:36 +0200] "POST /cart HTTP/2.0" 201 0 "-" "App/1" 0.123
"#;

#[test]
fn a_combined_log() {
    let (requests, format, report) = read("access.log", LOG);
    assert_eq!(format, Format::AccessLog);
    assert_eq!(
        shown(&requests),
        [
            "0 /apache_pb.gif 2326 -",
            "2 /search?q=%22a%22&page=2 10240 -",
            "1 / 1 -",
            "3600 /cart 1 -",
        ]
    );
    assert_eq!((report.read, report.skipped), (4, 1));
    assert_eq!(report.first_skipped.map(|first| first.line), Some(4));
}

#[test]
fn the_same_log_with_other_line_ends_name_and_packing() {
    let windows = LOG.replace('\n', "\r\n");
    let packed = zstd::encode_all(LOG.as_bytes(), 3).unwrap();
    for (name, content) in [("visits", windows.as_bytes()), ("access.log.zst", &packed)] {
        assert_eq!(read(name, content).0, read("access.log", LOG).0, "{name}");
    }
}

#[test]
fn a_log_packed_part_by_part_is_known_by_all_of_its_head() {
    let parts = ["# rotated\n", LOG].map(|part| zstd::encode_all(part.as_bytes(), 3).unwrap());
    let (requests, format, report) = read("visits.zst", parts.concat());
    assert_eq!((format, requests), (Format::AccessLog, read("access.log", LOG).0));
    assert_eq!(report.skipped, 2, "the remark, and a line that is no request");
}

#[test]
fn a_request_older_than_the_first_is_at_time_zero() {
    let lines: Vec<_> = LOG.lines().collect();
    let (requests, ..) = read("access.log", [lines[1], lines[0], lines[2]].join("\n"));
    assert_eq!(requests.iter().map(|r| r.time).collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn a_table_with_all_columns_in_any_order() {
    let text = "\u{feff}Tenant,\"size\",key,time\r\n\
                acme,512,42,1700000000\r\n\
                acme,,\"a,\"\"b\"\"\",1700000060.5\r\n\
                \r\n\
                ,99999999999,042,\r\n\
                \"bolt\",8,/home,1600000000\r\n";
    let (requests, format, report) = read("requests.csv", text);
    assert_eq!(format, Format::Csv);
    assert_eq!(
        shown(&requests),
        ["0 42 512 acme", "60 a,\"b\" 1 acme", "0 042 4294967295 -", "0 /home 8 bolt"]
    );
    assert_eq!((report.read, report.skipped), (4, 0));
}

#[test]
fn a_bare_column_of_keys() {
    let (requests, format, _) = read("keys.txt", "key\n7\n/a b\n7\n");
    assert_eq!(format, Format::Csv);
    assert_eq!(shown(&requests), ["0 7 1 -", "0 /a b 1 -", "0 7 1 -"]);
}

#[test]
fn rows_that_do_not_fit_are_skipped_with_their_reason() {
    for (row, reason) in [
        (&b"1"[..], "fewer fields than the header"),
        (b"1,2,3", "more fields than the header"),
        (b",2", "the key is empty"),
        (b"1,-2", "the size is no number"),
        (b"\"1,2", "a quoted field does not end on its line"),
        (b"\"1\"x,2", "text after a closing quote"),
        (b"\xff,2", "not valid UTF-8"),
        (&[b'x'; 70_000], "over 64 KiB long"),
    ] {
        let text = [b"key,size\n1,2\n", row, b"\n3,4\n"].concat();
        let (requests, _, report) = read("keys.csv", text);
        assert_eq!(shown(&requests), ["0 1 2 -", "0 3 4 -"]);
        let first = report.first_skipped.unwrap();
        assert_eq!((report.skipped, first.line, first.reason), (1, 3, reason));
    }
}
