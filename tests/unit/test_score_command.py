"""The command `score` on a fake model: output, windows, and a job that is killed and resumed."""

from __future__ import annotations

import io
import json
import sys

import pytest

import nextbyte as nb
from nextbyte import commands
from nextbyte.cli import main
from unit.fake_byte_models import order2_model

DATA = b"abcabcaabbcc" * 9


@pytest.fixture
def model(monkeypatch):
    made = order2_model(11, b"abc")
    monkeypatch.setattr(commands, "load_model", lambda _name, _feedback: made)
    return made


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def run(model, capfdbinary):
    def run(*arguments):
        status = main(["score", *map(str, arguments)])
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return run


def test_a_line_for_each_file(run, model, text, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"cab")
    status, out, err = run(text, other)
    assert (status, err) == (0, "")
    totals = [nb.score(model, data).sum() for data in (DATA, b"cab")]
    assert out == f"{totals[0]:.4f}\t{text}\n{totals[1]:.4f}\t{other}\n"
    assert run(text, "--bits")[1] == f"{nb.bits_per_byte(model, DATA):.6f}\t{text}\n"


def test_json(run, model, text):
    status, out, _ = run(text, "--json", "--end-of-text", "--window-bytes=50", "--overlap-bytes=9")
    answer = json.loads(out)
    options = {"window_bytes": 50, "overlap_bytes": 9, "end_of_text": True}
    windows = list(nb.score_windows(model, DATA, **options))
    assert status == 0
    assert answer["logprob"] == pytest.approx(nb.score(model, DATA, **options).sum(), rel=1e-13)
    assert answer["bits_per_byte"] == pytest.approx(nb.bits_per_byte(model, DATA, **options))
    assert answer["windows"] == [[w.start, w.stop] for w in windows]
    assert (answer["bytes"], answer["bound"], answer["end_of_text"]) == (len(DATA), 0.0, True)


def test_stdin_and_an_empty_file(run, model, tmp_path, monkeypatch):
    (tmp_path / "empty").write_bytes(b"")
    answer = json.loads(run(tmp_path / "empty", "--json")[1])
    assert (answer["logprob"], answer["bits_per_byte"], answer["windows"]) == (0.0, None, [])
    monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": io.BytesIO(b"")}))
    assert run("-")[1] == "0.0000\t-\n"


def test_a_killed_job_goes_on_to_the_same_total(run, model, text, tmp_path, monkeypatch):
    options = [text, "--json", "--window-bytes=20", "--overlap-bytes=5"]
    whole = json.loads(run(*options)[1])
    state = tmp_path / "state.json"
    started = []
    start = model.start

    def counting(prompt=b""):
        started.append(prompt)
        if len(started) == 4:  # the first of them looks at the context
            raise KeyboardInterrupt
        return start(prompt)

    monkeypatch.setattr(model, "start", counting)
    assert run(*options, "--resume", state)[0] == 130
    finished = json.loads(state.read_text())["jobs"]
    assert [len(windows) for windows in finished.values()] == [2]
    started[:] = [b""] * 9
    resumed = json.loads(run(*options, "--resume", state)[1])
    assert resumed == whole  # the total, to the last bit
    assert len(started) == 9 + 1 + len(whole["windows"]) - 2
    started[:] = [b""] * 9
    assert json.loads(run(*options, "--resume", state)[1]) == whole  # nothing is left to do
    assert len(started) == 9 + 1


def test_a_state_is_of_one_text_and_one_way_to_read_it(run, text, tmp_path):
    state = tmp_path / "state.json"
    first = run(text, "--resume", state)[1]
    text.write_bytes(DATA[:-1])
    assert run(text, "--resume", state)[1] != first
    run(text, "--window-bytes=30", "--resume", state)
    run(text, "--window-bytes=30", "--end-of-text", "--resume", state)
    assert len(json.loads(state.read_text())["jobs"]) == 4
    text.write_bytes(DATA)
    assert run(text, "--resume", state)[1] == first


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 2, "jobs": {}}', '{"version": 1, "jobs": {"a": [[1]]}}', "\x00"],
)
def test_a_file_that_is_no_state_is_not_overwritten(run, text, tmp_path, content):
    state = tmp_path / "state.json"
    state.write_text(content)
    status, out, err = run(text, "--resume", state)
    assert (status, out) == (2, "")
    assert "state" in err
    assert state.read_text() == content


def test_wrong_arguments(run, text, tmp_path):
    assert run(tmp_path / "nowhere")[0] == 2
    assert run()[0] == 2
    assert run(text, "--window-bytes=0")[0] == 2
    status, _, err = run(text, "--window-bytes=5", "--overlap-bytes=5")
    assert (status, "overlap_bytes" in err) == (2, True)
    text.write_bytes(b"abx")
    status, out, err = run(text)
    assert (status, out) == (2, "")
    assert "0x78 at position 2" in err
