"""Writes the real byte-pair tokenizers as files that tests/cpp/successor_masks_check.cc reads.

Run: python tests/byte_pair_files.py FOLDER [TOKENIZER_JSON ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import nextbyte as nb
from nextbyte import models
from nextbyte.compiling import merge_rows
from real_tokenizers import NAMES, MissingPackageError, load

FORMS = ("none", "nfc", "nfkc")


def in_bytes(description):
    """Return a byte-pair description in the check's format."""
    model = description.model

    def numbers(values):
        return np.asarray([len(values), *values], dtype="<u4").tobytes()

    def strings(values):
        return b"".join(
            [np.uint32(len(values)).tobytes()]
            + [np.uint32(len(value)).tobytes() + value for value in values]
        )

    merges = [] if model.merges is None else merge_rows(model.merges).ravel().tolist()
    ranks = [] if model.merges is not None else list(model.ranks)
    last = [int(model.whole_pieces), FORMS.index(model.normal_form)]
    return (
        strings(description.token_bytes)
        + numbers(merges)
        + numbers(ranks)
        + strings([stage.encode() for stage in model.stages])
        + np.asarray(last, dtype="<u4").tobytes()
        + numbers(list(description.added_tokens))
    )


def main(folder, *files):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    subjects = {}
    for name in NAMES:
        try:
            subjects[name] = load(name, folder, lambda: models.cached("smollm2-135m")).ours
        except MissingPackageError as reason:
            print(f"{name}: {reason}")  # noqa: T201 - a script
    for file in files:
        subjects[Path(file).parent.parent.name] = nb.Tokenizer.from_file(file)
    for name, subject in subjects.items():
        data = in_bytes(subject._description)
        (folder / f"{name}.pairs").write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
