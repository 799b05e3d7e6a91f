"""The command line on a fake model: arguments, output, escapes, errors and exit statuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nextbyte import commands, display
from nextbyte.cli import main
from nextbyte.errors import BackendError
from nextbyte.sampling import SamplingParams, generate
from unit.fake_byte_models import FakeBackend, FakeByteModel, FakeTokenizer, order2_model

ALL_BYTES = bytes(range(256))
TESTS = Path(__file__).parents[1]


class FakeLoadedModel(FakeByteModel):
    """A byte model, and a token side of 256 bytes and one end token that is always uniform."""

    start_token = None
    end_tokens = (256,)

    def __init__(self, law):
        super().__init__(law)
        self.tokenizer = FakeTokenizer([*(bytes([byte]) for byte in ALL_BYTES), b""])
        self.backend = FakeBackend(lambda _: np.zeros(257))


@pytest.fixture
def lm(monkeypatch):
    model = FakeLoadedModel(order2_model(7, ALL_BYTES).law)
    loaded = []
    model.tolerances = []

    def load(name, feedback, tolerance=0.0):
        loaded.append((name, feedback))
        model.tolerances.append(tolerance)
        return model

    monkeypatch.setattr(commands, "load_model", load)
    monkeypatch.delenv("NEXTBYTE_MODEL", raising=False)
    model.loaded = loaded
    return model


@pytest.fixture
def run(lm, capfdbinary):
    """Run the command line; return its exit status, stdout and stderr."""

    def run(*arguments):
        status = main(list(arguments))
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return status, captured.out, captured.err.decode()

    return run


def test_version(run):
    status, out, err = run("--version")
    assert (status, err) == (0, "")
    assert out.startswith(b"nextbyte ")


@pytest.mark.parametrize(
    "arguments", [[], ["no-such-command"], ["complete"], ["complete", "--top"]]
)
def test_wrong_usage_is_status_2_and_says_how(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, b"")
    assert "usage: nextbyte" in err


@pytest.mark.parametrize("option", ["--te", "--max"])
def test_options_are_not_abbreviated(run, option):
    assert run("complete", "x", option, "1")[0] == 2


def test_next_bytes_json(run, lm):
    status, out, err = run("next-bytes", "ab", "--top", "3", "--json")
    assert (status, err) == (0, "")
    answer = json.loads(out)
    row = lm.law(b"ab")
    best = np.argsort(-row, kind="stable")[:3].tolist()
    assert [line["byte"] for line in answer["next"]] == best
    assert [line["probability"] for line in answer["next"]] == np.exp(row[best]).tolist()
    assert [line["logprob"] for line in answer["next"]] == row[best].tolist()
    assert [line["symbol"] for line in answer["next"]] == [display.byte_symbol(s) for s in best]
    assert answer["prompt"] == "ab"
    assert answer["prompt_bytes"] == [97, 98]
    assert answer["end_of_text_probability"] == np.exp(row[256])
    assert (answer["bound"], answer["lm_evaluations"]) == (0.0, 1)
    assert answer["model"] == "smollm2-135m"
    assert "total_variation" not in answer


def test_the_tolerance_is_the_models(run, lm):
    for command in ("next-bytes", "complete"):
        assert run(command, "ab", "--tolerance", "0.001")[0] == 0
        assert run(command, "ab")[0] == 0
    assert lm.tolerances == [0.001, 0.0] * 2


def test_next_bytes_compare_json(run, lm):
    answer = json.loads(run("next-bytes", "ab", "--top", "257", "--json", "--compare")[1])
    exact = np.exp(lm.law(b"ab"))
    assert len(answer["next"]) == 257
    assert {line["plain_probability"] for line in answer["next"]} == {1 / 257}
    distance = 0.5 * np.abs(exact - 1 / 257).sum()
    assert answer["total_variation"] == pytest.approx(distance, abs=1e-12)


def test_impossible_bytes_have_no_number_in_json(run, lm):
    row = np.full(257, -np.inf)
    row[97] = 0.0
    lm.law = lambda _: row
    answer = json.loads(run("next-bytes", "", "--json", "--compare", "--top", "2")[1])
    assert answer["next"][0]["logprob"] == 0.0
    assert answer["next"][1]["logprob"] is None
    assert len(json.loads(run("next-bytes", "", "--json")[1])["next"]) == 1


def test_next_bytes_table(run, lm):
    row = np.full(257, -np.inf)
    row[[10, 32, 91, 0xC3, 256]] = np.log([0.5, 0.25, 0.125, 0.12496, 0.00004])
    lm.law = lambda _: row
    status, out, err = run("next-bytes", "[")
    lines = [line for line in out.decode().splitlines() if "%" in line]
    shown = [line.split()[:2] for line in lines]
    assert shown == [
        ["\\n", "50.00"],
        ["'", "'"],
        ["[", "12.50"],
        ["0xC3", "12.50"],
        ["<end>", "<0.01"],
    ]
    assert (status, err) == (0, "")
    assert "\x1b" not in out.decode()  # no colour where there is no terminal
    assert b"plain" not in out
    compared = run("next-bytes", "[", "--compare")[1].decode()
    assert max(len(line) for line in compared.splitlines()) <= 80
    assert "plain tokens" in compared
    assert "total variation distance" in compared


@pytest.mark.parametrize("top", ["0", "-1", "x"])
def test_top_is_checked(run, top):
    status, out, err = run("next-bytes", "x", f"--top={top}")
    assert (status, out) == (2, b"")
    assert "--top" in err


def expected(lm, prompt, **options):
    return generate(FakeByteModel(lm.law), prompt, SamplingParams(**options))


OPTIONS = ["--seed", "3", "--max-bytes", "40", "--temperature", "0.8", "--top-k", "200"]
OPTIONS += ["--top-p", "0.99", "--min-p", "1e-6"]
SAME = {"seed": 3, "max_bytes": 40, "temperature": 0.8, "top_k": 200, "top_p": 0.99, "min_p": 1e-6}


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_complete_writes_exact_bytes(run, lm, how):
    result = expected(lm, b"ab", **SAME)
    assert result.bytes.decode("utf-8", "replace").encode() != result.bytes  # ill-formed, so a test
    status, out, err = run("complete", "ab", *OPTIONS, *how)
    assert status == 0
    assert out == result.bytes
    count, evaluations = len(result.bytes), result.lm_evaluations
    assert err.startswith(f"finish: {result.finish_reason} | {count} bytes | {evaluations} LM ")
    assert "bytes/s" in err
    assert err.count("\n") == 1


def test_complete_quiet_and_echo(run, lm):
    result = expected(lm, b"ab", **SAME)
    assert run("complete", "ab", *OPTIONS, "--quiet", "--echo") == (0, b"ab" + result.bytes, "")


def test_complete_stops(run, lm):
    whole = expected(lm, b"ab", seed=3, max_bytes=40).bytes
    stop = whole[10:12]
    assert whole.find(stop) == 10
    text = stop.decode("utf-8", "surrogateescape")
    status, out, err = run(
        "complete", "ab", "--seed=3", "--max-bytes=40", "--stop", "zzzz", "--stop", text
    )
    assert (status, out) == (0, whole[:10])
    assert err.startswith(f"finish: stop at {stop!r} | 10 bytes")
    spelled = "".join(f"\\x{byte:02x}" for byte in stop)
    again = run("complete", "ab", "--seed=3", "--max-bytes=40", "-e", "--stop", spelled, "--quiet")
    assert again == (0, whole[:10], "")


def test_complete_json(run, lm):
    result = expected(lm, b"ab", **SAME)
    status, out, err = run("complete", "ab", *OPTIONS, "--json", "--echo")
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert bytes(answer["bytes"]) == result.bytes
    assert answer["text"] == result.text
    assert answer["byte_logprobs"] == result.byte_logprobs.tolist()
    assert answer["logprob"] == result.logprob
    assert (answer["finish_reason"], answer["stop"]) == (result.finish_reason, None)
    assert answer["lm_evaluations"] == result.lm_evaluations
    assert answer["prompt_bytes"] == [97, 98]
    assert answer["seconds"] > 0


def test_text_is_taken_as_it_is_unless_escapes_are_asked_for(run):
    raw = json.loads(run("next-bytes", r"a\n\xff", "--json")[1])
    assert bytes(raw["prompt_bytes"]) == rb"a\n\xff"
    read = json.loads(run("next-bytes", r"a\n\xff", "--json", "-e")[1])
    assert bytes(read["prompt_bytes"]) == b"a\n\xff"
    status, out, err = run("next-bytes", r"ab\q", "-e")
    assert (status, out) == (2, b"")
    assert err.startswith("nextbyte: error: unknown escape at byte 2")
    # How Python shows an argument that is not UTF-8.
    odd = json.loads(
        run("next-bytes", b"a\xff\xe9".decode("utf-8", "surrogateescape"), "--json")[1]
    )
    assert bytes(odd["prompt_bytes"]) == b"a\xff\xe9"
    assert json.loads(run("next-bytes", "", "--json")[1])["prompt_bytes"] == []
    assert json.loads(run("next-bytes", "--json", "--", "-x")[1])["prompt"] == "-x"


def test_dash_reads_bytes_from_stdin(run, monkeypatch):
    data = b"caf\xc3\\n\r\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
    answer = json.loads(run("next-bytes", "-", "--json", "-e")[1])
    assert bytes(answer["prompt_bytes"]) == data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "-1"], "temperature must be a finite number >= 0, got -1.0"),
        (["--top-p", "nan"], "top_p must be a number in (0, 1], got nan"),
        (["--seed", "-4"], "seed must be None or an integer >= 0, got -4"),
        (["--stop", ""], "stop[0] must be a non-empty string"),
        (["--max-bytes", "-1"], "max_bytes must be an integer >= 0, got -1"),
    ],
)
def test_parameters_are_checked_before_a_model_is_loaded(run, lm, arguments, message):
    status, out, err = run("complete", "x", *arguments)
    assert (status, out) == (2, b"")
    assert err.startswith(f"nextbyte: error: {message}")
    assert err.count("\n") == 1
    assert lm.loaded == []


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BackendError("no memory:\n  buy more"), 2, "nextbyte: error: no memory: buy more\n"),
        (FileNotFoundError(2, "No such file", "x.json"), 2,
         "nextbyte: error: [Errno 2] No such file: 'x.json'\n"),
        (BackendError(""), 2, "nextbyte: error: BackendError\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_a_status(run, lm, error, status, message):
    def fail(_prefix):
        raise error

    lm.law = fail
    assert run("complete", "") == (status, b"", message)


def test_errors_of_ours_are_not_hidden(run, lm):
    lm.law = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        main(["complete", ""])


def test_unreachable_prompts_say_where(run, lm):
    row = np.full(257, -np.inf)
    row[97] = 0.0
    lm.law = lambda _: row
    status, out, err = run("complete", "aab")
    assert (status, out) == (2, b"")
    assert "0x62 at position 2" in err


def test_the_model_comes_from_option_then_environment(run, lm, monkeypatch):
    run("next-bytes", "x", "--json")
    monkeypatch.setenv("NEXTBYTE_MODEL", "somewhere/else")
    run("next-bytes", "x", "--json")
    run("next-bytes", "x", "--json", "--model", "here")
    assert [name for name, _ in lm.loaded] == ["smollm2-135m", "somewhere/else", "here"]


def test_progress_options(run, lm):
    for options in [[], ["--no-progress"], ["--progress"], ["--quiet"], ["--quiet", "--progress"]]:
        assert run("next-bytes", "x", "--json", *options)[0] == 0
    shown = [(feedback.bars, feedback.force_bars) for _, feedback in lm.loaded]
    assert shown == [(True, False), (False, False), (True, True), (False, False), (False, False)]
    assert [feedback.quiet for _, feedback in lm.loaded] == [False, False, False, True, True]


def test_forced_bars_go_to_stderr(run, lm):
    result = expected(lm, b"ab", **SAME)
    status, out, err = run("complete", "ab", *OPTIONS, "--no-stream", "--progress")
    assert (status, out) == (0, result.bytes)
    assert "generating" in err
    unforced = run("complete", "ab", *OPTIONS, "--no-stream")[2]
    assert "generating" not in unforced


@pytest.mark.parametrize(
    "command", [["next-bytes", "x"], ["demo"], ["complete", "x", "--progress"]]
)
def test_without_rich_the_advice_comes_before_a_model_is_loaded(run, lm, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "rich", None)
    status, out, err = run(*command, *(["--no-stream"] if "complete" in command else []))
    assert (status, out) == (2, b"")
    assert "pip install 'nextbyte[cli]'" in err
    if "complete" not in command:
        assert lm.loaded == []


def test_demo_compares_laws_and_completions(run, lm):
    status, out, err = run("demo", "--max-bytes", "4", "--top", "2")
    shown = out.decode()
    assert (status, err) == (0, "")
    for prompt in commands.DEMO_PROMPTS:
        assert repr(prompt.decode()) in shown
        exact = expected(lm, prompt, temperature=0.0, max_bytes=4).bytes
        assert display.printable(prompt + exact).splitlines()[-1] in shown
    assert shown.count("total variation distance") == len(commands.DEMO_PROMPTS)
    assert shown.count("exact bytes") == len(commands.DEMO_PROMPTS)


def test_fetch_prints_the_folder(run, monkeypatch):
    asked = []

    def fetch(name, *, progress):
        asked.append((name, progress))
        return Path("somewhere") / name

    monkeypatch.setattr(commands, "fetch", fetch)
    status, out, err = run("fetch", "smollm2-135m")
    assert (status, out.decode(), err) == (0, f"{Path('somewhere') / 'smollm2-135m'}\n", "")
    run("fetch", "smollm2-135m", "--quiet")
    assert asked == [("smollm2-135m", True), ("smollm2-135m", False)]  # lines, or nothing
    run("fetch", "smollm2-135m", "--progress")
    assert callable(asked[2][1])


def test_fetch_of_an_unknown_model(run):
    status, out, err = run("fetch", "no-such-model")
    assert (status, out) == (2, b"")
    assert "no-such-model" in err
    assert "smollm2-135m" in err


def test_the_terminal_gets_safe_text(lm, monkeypatch):
    row = np.full(257, -np.inf)
    row[[0x1B, 0xC3, 0xA9]] = np.log([0.4, 0.3, 0.3])
    lm.law = lambda _: row
    for encoding in ("utf-8", "ascii"):
        terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["complete", "", "--seed", "0", "--max-bytes", "60", "--quiet"]) == 0
        shown = terminal.buffer.getvalue()
        assert b"\x1b" not in shown
        assert b"\\x1b" in shown
        assert ("\u00e9".encode() if encoding == "utf-8" else rb"\xe9") in shown
        assert shown.endswith(b"\n")


def test_tables_fit_a_terminal_that_knows_ascii_only(lm, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["next-bytes", "x", "--compare"]) == 0
    assert b"%" in terminal.buffer.getvalue()
    assert terminal.buffer.getvalue().isascii()
