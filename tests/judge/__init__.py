"""The independent judge of real tokenizers: reference engines, texts, parity and cover witnesses.

Nothing here looks inside the library: it is asked through its public API only, and what it answers
is compared with the engine that defines the tokenizer (`tokenizers`, tiktoken, SentencePiece, or a
few lines here).
"""
