//! libFuzzer's door to the target `local`.
#![no_main]

use alcove_fuzz::targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run("local", data));
