//! libFuzzer's entry to the body `snap`.

#![no_main]

use cache_enterprise_fuzz::snap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| snap(bytes));
