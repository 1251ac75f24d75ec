#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(broken) = tidegate::normalise::invariants::check_bytes(input) {
        panic!("{broken}");
    }
});
