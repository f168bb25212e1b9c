//! libFuzzer's door to the target `signed`.
#![no_main]

use alcove_fuzz::targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run("signed", data));
