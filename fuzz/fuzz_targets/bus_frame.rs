//! libFuzzer's entry to the body `bus_frame`.

#![no_main]

use cache_enterprise_fuzz::bus_frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bus_frame(bytes));
