//! libFuzzer's entry to the body `envelope_open`.

#![no_main]

use cache_enterprise_fuzz::envelope_open;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| envelope_open(bytes));
