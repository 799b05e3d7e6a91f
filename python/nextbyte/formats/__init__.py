"""Tokenizer files, one loader each; all reduce to `TokenizerDescription`."""
