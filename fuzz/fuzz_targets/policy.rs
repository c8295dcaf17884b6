//! Policies in Markdown, with all that the linter says of them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Policy;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(policy) = Policy::parse("fuzz", bytes) {
        assert!(!policy.rules.is_empty());
    }
});
