//! libFuzzer's door to the target `node_ops`.
#![no_main]

use alcove_fuzz::targets;

libfuzzer_sys::fuzz_target!(init: targets::keep_panics(), |data: &[u8]| targets::run("node_ops", data));
