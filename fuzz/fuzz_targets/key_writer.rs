//! libFuzzer's entry to the body `key_writer`.

#![no_main]

use cache_enterprise_fuzz::key_writer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| key_writer(bytes));
