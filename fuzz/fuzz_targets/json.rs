//! libFuzzer's entry to the body `json`.

#![no_main]

use cache_enterprise_fuzz::json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| json(bytes));
