//! libFuzzer's entry to the body `stored_key`.

#![no_main]

use cache_enterprise_fuzz::stored_key;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stored_key(bytes));
