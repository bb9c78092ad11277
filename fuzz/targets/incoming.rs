#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| amqp_tools_fuzz::incoming::check(input));
