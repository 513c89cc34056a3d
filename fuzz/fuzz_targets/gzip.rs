//! libFuzzer's entry to the body `gzip`.

#![no_main]

use cache_enterprise_fuzz::gzip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gzip(bytes));
