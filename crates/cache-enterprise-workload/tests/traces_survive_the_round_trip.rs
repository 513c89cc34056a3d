//! What is written to a trace is read from it, and the bytes are those of the format.

#![allow(clippy::unwrap_used)]

use cache_enterprise_workload::{
    self as workload, Format, Request, RequestKey, TraceReader, TraceWriter,
};
use proptest::prelude::*;

fn write(requests: &[Request]) -> Vec<u8> {
    let mut writer = TraceWriter::new(Vec::new(), "test.ctr.zst").unwrap();
    for request in requests {
        writer.write(request).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Vec<Request> {
    TraceReader::new(bytes, "test.ctr.zst").unwrap().collect::<Result<_, _>>().unwrap()
}

fn numbered() -> impl Strategy<Value = Request> {
    (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(time, id, size)| Request {
        time,
        key: RequestKey::Id(id),
        size,
        tenant: None,
    })
}

proptest! {
    #[test]
    fn numbered_requests_come_back_equal(requests in prop::collection::vec(numbered(), 1..200)) {
        prop_assert_eq!(read(&write(&requests)), requests);
    }

    #[test]
    fn text_and_tenants_come_back_as_their_object_ids(
        key in "\\PC{0,40}",
        tenant in prop::option::of("[a-z]{1,8}"),
    ) {
        let mut request = Request::new(RequestKey::parse(&key));
        request.tenant = tenant.map(Into::into);
        let back = read(&write(std::slice::from_ref(&request)));
        prop_assert_eq!(back.len(), 1);
        prop_assert_eq!(&back[0].key, &RequestKey::Id(request.object_id()));
        prop_assert_eq!(&back[0].tenant, &None);
    }
}

#[test]
fn a_file_made_by_hand_reads_as_its_table_says() {
    #[rustfmt::skip]
    let records: [u8; 32] = [
        0x00, 0x00, 0x00, 0x00,  0x2a, 0, 0, 0, 0, 0, 0, 0,                          0x01, 0, 0, 0,
        0x10, 0x0e, 0x00, 0x00,  0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,  0x00, 0x20, 0, 0,
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("GOLDEN.CTR.ZST");
    std::fs::write(&path, zstd::encode_all(&records[..], 3).unwrap()).unwrap();

    let mut requests = workload::open(&path).unwrap();
    assert_eq!(requests.format(), Format::Trace);
    let read: Vec<_> = requests.by_ref().map(Result::unwrap).collect();
    let second = Request {
        time: 3600,
        key: RequestKey::Id(0x0123_4567_89ab_cdef),
        size: 8192,
        tenant: None,
    };
    assert_eq!(read, [Request::new(RequestKey::Id(42)), second]);
    assert_eq!((requests.report().read, requests.report().skipped), (2, 0));
    assert!(requests.report().check().is_ok());
}

#[test]
fn written_bytes_decompress_to_the_plain_records() {
    let request = Request { time: 3600, ..Request::new(RequestKey::Id(42)).with_size(8192) };
    let plain = zstd::decode_all(&write(&[request])[..]).unwrap();
    assert_eq!(plain, [0x10, 0x0e, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0]);
}

#[test]
fn frames_written_one_after_the_other_are_one_trace() {
    let first = write(&[Request::new(RequestKey::Id(1))]);
    let second = write(&[Request::new(RequestKey::Id(2))]);
    let both = read(&[first, second].concat());
    assert_eq!(both, [Request::new(RequestKey::Id(1)), Request::new(RequestKey::Id(2))]);
}

#[test]
fn a_trace_of_a_million_requests_streams() {
    let requests = (0..1_000_000).map(|id| Request::new(RequestKey::Id(id % 1000)));
    let mut writer = TraceWriter::new(Vec::new(), "long.ctr.zst").unwrap();
    for request in requests {
        writer.write(&request).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let mut reader = TraceReader::new(&bytes[..], "long.ctr.zst").unwrap();
    assert!(
        reader
            .by_ref()
            .zip(0..)
            .all(|(request, id)| { request.unwrap().key == RequestKey::Id(id % 1000) })
    );
    assert_eq!(reader.report().read, 1_000_000);
}
