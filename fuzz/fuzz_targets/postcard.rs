//! libFuzzer's entry to the body `postcard`.

#![no_main]

use cache_enterprise_fuzz::postcard;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| postcard(bytes));
