//! libFuzzer's entry to the body `bincode`.

#![no_main]

use cache_enterprise_fuzz::bincode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bincode(bytes));
