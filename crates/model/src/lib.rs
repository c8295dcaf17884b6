//! gpt-oss: checkpoint, tokenizer, harmony and the forward pass.
