//! libFuzzer's entry to the body `lz4`.

#![no_main]

use cache_enterprise_fuzz::lz4;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lz4(bytes));
