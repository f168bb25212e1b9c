//! libFuzzer's door to the target `picture`.
#![no_main]

use alcove_fuzz::targets;

libfuzzer_sys::fuzz_target!(init: targets::keep_panics(), |data: &[u8]| targets::run("picture", data));
