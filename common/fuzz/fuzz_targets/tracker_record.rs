#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker::fuzzing::tracker_record(bytes));
