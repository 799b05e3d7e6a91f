"""Question: how long does the sorted token table take from a list of bytes, beside `sorted`?

Run: python bench/token_table.py [--library libnextbyte_core.a] [--rounds N]. The table is what
every byte prefix is looked up in: the tokens in order of their bytes, and the children of each
prefix. Compiling a tokenizer makes one, and merges and masks on top; `loading.py` has all of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bindings import build_twin, core_library
from harness import Session, arguments
from vocabularies import real_tokenizers


def main():
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    with tempfile.TemporaryDirectory() as scratch:
        twin = build_twin(core_library(options.library), Path(scratch))
        for name, tokenizer in real_tokenizers(options.file):
            tokens = [data for data in tokenizer._description.token_bytes if data]  # noqa: SLF001
            distinct = list(dict.fromkeys(tokens))
            assert twin.token_table(distinct) == len(distinct)
            session.compare(
                {
                    "sorted(list)": lambda tokens=distinct: sorted(tokens),
                    "token table from the list (nextbyte)": (
                        lambda tokens=distinct: twin.token_table(tokens)
                    ),
                },
                reference="sorted(list)",
                setup={"vocabulary": name, "tokens": len(distinct)},
                unit="ms",
            )


if __name__ == "__main__":
    main()
