//! libFuzzer's entry to the body `messagepack`.

#![no_main]

use cache_enterprise_fuzz::messagepack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| messagepack(bytes));
