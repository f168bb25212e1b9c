//! libFuzzer's door to the target `link`.
#![no_main]

use alcove_fuzz::targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run("link", data));
