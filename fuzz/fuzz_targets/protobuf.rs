//! libFuzzer's entry to the body `protobuf`.

#![no_main]

use cache_enterprise_fuzz::protobuf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| protobuf(bytes));
