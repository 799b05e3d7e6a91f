"""Compare GGUF tokenizers with reference ids: a folder of `X.gguf` with `X.gguf.inp` and `.out`.

    python scripts/check_gguf_vocabularies.py DIR

llama.cpp has such a folder, `models/` (its source is also in the source distribution of the package
llama-cpp-python, under `vendor/llama.cpp`): the texts of an `.inp` file are separated by a line
`__ggml_vocab_test__`, and line n of the `.out` file has the ids that the model's own encoder gives
text n. Texts that contain the spelling of a special or added token are counted, not compared,
because here such a spelling is text, and so are texts with a byte that has no token. Exits with 1
if a text differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nextbyte import Tokenizer
from nextbyte.errors import NextByteError

SEPARATOR = "\n__ggml_vocab_test__\n"
COLUMNS = ("vocabulary", "tokens", "added words", "texts", "equal", "other", "spelled", "no token")


def load(path: Path) -> tuple[Tokenizer, bool]:
    """Return the tokenizer, and whether it has added words that must be ignored to load it."""
    try:
        return Tokenizer.from_gguf(path), False
    except NextByteError as error:
        if "ignore_added_words" not in str(error):
            raise
        return Tokenizer.from_gguf(path, ignore_added_words=True), True


def compare(tokenizer: Tokenizer, path: Path) -> tuple[list[int], list[str]]:
    """Return the numbers of texts, of equal, other, spelled and tokenless ones; and the others."""
    texts = Path(f"{path}.inp").read_bytes().decode().split(SEPARATOR)
    lines = Path(f"{path}.out").read_text(encoding="utf-8").split("\n")
    if len(lines) > len(texts) and not lines[-1]:
        lines.pop()  # a text may be empty, and so may a line; here it is the file's last line end
    missing = tokenizer.report().missing_bytes
    others, equal, spelled, tokenless = [], 0, 0, 0
    for text, line in zip(texts, lines, strict=True):
        if any(spelling in text for spelling in tokenizer.special_tokens):
            spelled += 1
        elif any(byte in missing for byte in text.encode()):
            tokenless += 1
        elif tokenizer.encode(text) == [int(word) for word in line.split()]:
            equal += 1
        else:
            others.append(f"{path.name}: {text!r}: {tokenizer.encode(text)}, reference {line}")
    return [len(texts), equal, len(others), spelled, tokenless], others


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare GGUF tokenizers with reference ids.")
    parser.add_argument("folder", type=Path, help="with X.gguf, X.gguf.inp, X.gguf.out")
    folder = parser.parse_args().folder
    print(" | ".join(COLUMNS))
    differences = []
    for path in sorted(folder.glob("*.gguf")):
        try:
            tokenizer, words = load(path)
        except NextByteError as error:
            print(f"{path.stem} | refused: {str(error).removeprefix(f'{path}: '):.110}")
            continue
        row = [path.stem, str(tokenizer.vocab_size), "ignored" if words else "none"]
        if Path(f"{path}.inp").is_file():
            counts, others = compare(tokenizer, path)
            differences += others
            row += map(str, counts)
        print(" | ".join(row), flush=True)
    print(*differences, sep="\n", end="\n" if differences else "")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
