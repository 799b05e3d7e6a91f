"""`nextbyte complete` with several models."""

from __future__ import annotations

import json
import sys

import pytest

import nextbyte as nb
from nextbyte import commands
from nextbyte.cli import main
from unit.common_vocabulary_definition import with_tokens
from unit.fake_byte_models import one_text_model, order2_model

MODELS = {
    "A": with_tokens(order2_model(1, b"abc"), [b"ab", b"bca", b"cc"]),
    "B": with_tokens(order2_model(2, b"abc"), [b"ab", b"bca", b"a"]),
    "C": one_text_model(b"aab"),
}


@pytest.fixture
def run(monkeypatch, capfdbinary):
    loaded = []

    def load(name, _, tolerance=0.0):
        assert tolerance == 0.0
        loaded.append(name)
        return MODELS[name]

    def run(*arguments):
        loaded.clear()
        status = main(["complete", *arguments])
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return status, captured.out, captured.err.decode(), list(loaded)

    monkeypatch.setattr(commands, "load_model", load)
    monkeypatch.setenv("NEXTBYTE_MODEL", "A")
    return run


def expected(names, weights, rule, prompt):
    model = nb.ByteEnsemble([MODELS[name] for name in names], weights, rule)
    return nb.generate(model, prompt, nb.SamplingParams(max_bytes=20, seed=5))


def test_two_models(run):
    result = expected("AB", [0.6, 0.4], "mixture", b"ab")
    models = ["--model", "A", "--model", "B", "--weights", "0.6,0.4", "--rule", "mixture"]
    status, out, err, loaded = run("ab", *models, "--seed=5", "--max-bytes=20", "--json")
    assert (status, err, loaded) == (0, "", ["A", "B"])
    answer = json.loads(out)
    assert bytes(answer["bytes"]) == result.bytes
    assert answer["logprob"] == result.logprob
    assert (answer["models"], answer["weights"]) == (["A", "B"], [0.6, 0.4])
    assert (answer["rule"], answer["bound"]) == ("mixture", 0.0)
    assert "model" not in answer


@pytest.mark.parametrize(
    ("options", "names", "weights", "rule"),
    [
        ([], "AB", None, "mixture"),
        (["--rule", "posterior"], "AB", None, "posterior"),
        (
            ["--rule", "product", "--weights", "1,1,-1", "--model", "A"],
            "ABA",
            [1, 1, -1],
            "product",
        ),
    ],
)
def test_rules_and_weights(run, options, names, weights, rule):
    models = ["--model", "A", "--model", "B", *options]
    status, out, err, loaded = run("ab", *models, "--seed=5", "--max-bytes=20", "--no-stream")
    assert (status, out) == (0, expected(names, weights, rule, b"ab").bytes)
    assert loaded == ["A", "B"]  # a model that comes twice is loaded once
    assert "LM evaluations" in err


@pytest.mark.parametrize(
    ("options", "tolerance"), [([], 0.01), (["--tolerance=0.2"], 0.2), (["--tolerance=0"], 0.0)]
)
def test_common_vocabulary(run, options, tolerance):
    model = nb.CommonVocabularyEnsemble(
        [MODELS["A"], MODELS["B"]], [0.25, 0.75], tolerance=tolerance
    )
    result = nb.generate(model, "ab", nb.SamplingParams(max_bytes=20, seed=5))
    models = ["--model=A", "--model=B", "--weights=1,3", "--rule=common-vocabulary", *options]
    status, out, err, loaded = run("ab", *models, "--seed=5", "--max-bytes=20", "--json")
    assert (status, err, loaded) == (0, "", ["A", "B"])
    answer = json.loads(out)
    assert bytes(answer["bytes"]) == result.bytes
    assert answer["logprob"] == pytest.approx(result.logprob)
    assert (answer["weights"], answer["rule"]) == ([0.25, 0.75], "common-vocabulary")
    assert answer["bound"] <= tolerance


def test_common_vocabulary_needs_tokenizers(run):
    options = ["--model=A", "--model=C", "--rule=common-vocabulary"]
    status, out, err, _ = run("a", *options)
    assert (status, out) == (2, b"")
    assert "member 1 has no tokenizer" in err


def test_one_model_is_as_before(run):
    status, out, _, loaded = run("ab", "--seed=5", "--max-bytes=20", "--json")
    assert (status, loaded, json.loads(out)["model"]) == (0, ["A"], "A")
    assert run("ab", "--model", "B", "--max-bytes=3")[3] == ["B"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model=A", "--weights=1"], "need two models"),
        (["--model=A", "--rule=mixture"], "need two models"),
        (["--model=A", "--model=B", "--weights=1"], "2 numbers"),
        (["--model=A", "--rule=common-vocabulary"], "need two models"),
        (["--model=A", "--model=B", "--weights=1,-1", "--rule=common-vocabulary"], "must not be"),
        (["--model=A", "--model=B", "--weights=1,-1"], "must not be negative"),
        (["--model=A", "--model=B", "--weights=1,x"], "separated by commas"),
        (["--model=A", "--model=B", "--rule=mean"], "invalid choice"),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(run, options, message):
    status, out, err, loaded = run("ab", *options)
    assert (status, out, loaded) == (2, b"", [])
    assert message in err


def test_a_lost_member_is_one_line(run):
    models = ["--model", "A", "--model", "C", "--max-bytes", "3"]
    status, _, err, _ = run("ab", *models)
    assert status == 0
    assert err.startswith("nextbyte: warning: ensemble member 1 ")
    assert err.count("\n") == 2
    assert run("ab", *models, "--quiet")[2] == ""
    status, _, err, _ = run("ab", *models, "--rule", "product")
    assert status == 2
    assert err.startswith("nextbyte: error: byte 0x62 at position 1 cannot follow under member 1")


def test_a_gap_between_two_files(run, tmp_path, capfdbinary):
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"ba")
    files = [f"--prefix-file={tmp_path / 'a'}", f"--suffix-file={tmp_path / 'b'}"]
    options = ["--seed=5", "--max-bytes=6", "--json"]
    members = [MODELS["A"], MODELS["B"]]
    params = nb.SamplingParams(seed=5, max_bytes=6)
    for rule, model in (
        ("product", nb.ByteEnsemble(members, [0.6, 0.4], "product")),
        ("common-vocabulary", nb.CommonVocabularyEnsemble(members, [0.6, 0.4])),
    ):
        models = ["--model=A", "--model=B", "--weights=0.6,0.4", f"--rule={rule}"]
        assert main(["infill", *files, *models, *options]) == 0
        answer = json.loads(capfdbinary.readouterr().out)
        found = nb.infill(model, b"ab", b"ba", params)
        assert bytes(answer["bytes"]) == found.bytes
        assert (answer["models"], answer["rule"]) == (["A", "B"], rule)
        assert (answer["format"], answer["suffix_bytes"]) == (None, 2)
        weights = [candidate["log_weight"] for candidate in answer["candidates"]]
        assert weights == pytest.approx([c.log_weight for c in found.candidates])
        assert len(set(weights)) > 1
    assert main(["infill", *files, "--model=A", "--model=B", "--format=qwen"]) == 2
    assert b"needs a single ByteLM" in capfdbinary.readouterr().err
