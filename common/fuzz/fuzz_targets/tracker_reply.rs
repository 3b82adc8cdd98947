#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::tracker_reply(bytes));
