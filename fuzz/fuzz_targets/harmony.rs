//! Replies in harmony, of any tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::harmony::{Parser, Role};
use model::tokenizer::Tokenizer;

fuzz_target!(|tokens: Vec<u32>| {
    let tokenizer = Tokenizer::o200k_harmony();
    for mut parser in [Parser::strict(tokenizer, Role::Assistant), Parser::lenient(tokenizer, Role::Assistant)] {
        for token in &tokens {
            parser.push(*token);
        }
        let _ = parser.finish();
    }
});
