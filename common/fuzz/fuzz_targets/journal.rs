#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tui_peer::fuzzing::journal(bytes));
