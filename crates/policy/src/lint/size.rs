//! Rows about size: tokens and rules.

use crate::lint::code::{Code, MAX_RULES, MAX_TOKENS, MIN_TOKENS};
use crate::lint::document::Document;
use crate::lint::finding::Fault;

/// Free text may be short.
pub(crate) fn tokens(document: &Document, n_tokens: usize, faults: &mut Vec<Fault>) {
    if n_tokens > MAX_TOKENS {
        let message = format!("the policy has {n_tokens} tokens, more than {MAX_TOKENS}");
        let help = "shorten tests to one line, cut examples that decide nothing, or split the policy in two";
        faults.push(Fault::new(Code::TooLong, document.top(), message, help));
    } else if n_tokens < MIN_TOKENS && !document.is_prose() {
        let message = format!("the policy has {n_tokens} tokens, fewer than {MIN_TOKENS}");
        let help =
            "define the terms, write down what is allowed, and add examples next to the line";
        faults.push(Fault::new(Code::TooShort, document.top(), message, help));
    }
}

pub(crate) fn rules(document: &Document, faults: &mut Vec<Fault>) {
    if let Some(first) = document.rules.get(MAX_RULES) {
        let n_rules = document.rules.len();
        let message = format!("the policy has {n_rules} rules, more than {MAX_RULES}");
        let help = "join rules that lead to the same action, or split the policy in two";
        faults.push(Fault::new(Code::ManyRules, first.code.clone(), message, help));
    }
}
