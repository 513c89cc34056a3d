//! libFuzzer's entry to the body `zstd`.

#![no_main]

use cache_enterprise_fuzz::zstd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| zstd(bytes));
