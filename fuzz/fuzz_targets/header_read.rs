//! libFuzzer's entry to the body `header_read`.

#![no_main]

use cache_enterprise_fuzz::header_read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| header_read(bytes));
