"""Runs every Python block of README.md and docs/, and checks that the commands shown exist.

The blocks of one file share a namespace and run in order, in one fresh interpreter in an empty
folder. The comment ``<!-- model -->`` on the line before a block says that it needs the embedded
model; then the file runs twice, once up to there without a model and once in whole. ``<!-- skip:
reason -->`` leaves a block out.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"^(?:<!-- *(?P<note>model|skip:[^>]*\S) *-->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    note: str
    line: int  # of the first line of the body, counted from one


def blocks(text: str) -> list[Block]:
    return [
        Block(
            language=match["language"],
            body=match["body"],
            note=(match["note"] or "").split(":")[0],
            line=text.count("\n", 0, match.start("body")) + 1,
        )
        for match in FENCE.finditer(text)
    ]


def python_blocks(text: str) -> list[Block]:
    return [b for b in blocks(text) if b.language == "python" and b.note != "skip"]


def script(page: Path, chosen: list[Block]) -> str:
    """One program of all blocks, each on its own line numbers, so that tracebacks point at them."""
    lines = [
        f"exec(compile({chr(10) * (b.line - 1) + b.body!r}, {str(page)!r}, 'exec'), namespace)"
        for b in chosen
    ]
    return "\n".join(["namespace = {'__name__': '__main__'}", *lines])


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def pages_with_blocks(*, model: bool) -> list[Path]:
    def wanted(page: Path) -> bool:
        chosen = python_blocks(page.read_text(encoding="utf-8")) if page.is_file() else []
        needs_model = any(block.note == "model" for block in chosen)
        return needs_model if model else any(block.note != "model" for block in chosen)

    return [page for page in PAGES if wanted(page)]


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_shows_python():
    assert python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages_with_blocks(model=False), ids=relative)
def test_python_blocks_without_a_model(page, tmp_path):
    chosen = [b for b in python_blocks(page.read_text(encoding="utf-8")) if b.note != "model"]
    done = run(script(page, chosen), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.model
@pytest.mark.parametrize("page", pages_with_blocks(model=True), ids=relative)
def test_all_python_blocks(page, tmp_path):
    done = run(script(page, python_blocks(page.read_text(encoding="utf-8"))), tmp_path)
    assert done.returncode == 0, done.stderr


# --- Commands ------------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    """The commands of shell blocks: every line of ```sh, the `$ ` lines of ```console."""
    found = []
    for block in blocks(text):
        body = block.body.replace("\\\n", " ")
        if block.language in {"sh", "bash"}:
            found += [line for line in body.splitlines() if line and not line.startswith("#")]
        elif block.language == "console":
            found += [line[2:] for line in body.splitlines() if line.startswith("$ ")]
    return found


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def complaint(command: str) -> str | None:
    """Why a command shown to users would not work; None if it is not ours or is right."""
    words = [
        word for word in shlex.split(command, comments=True) if not re.match(r"[A-Z_]+=", word)
    ]
    if words[:1] == ["make"]:
        unknown = set(words[1:]) - make_targets()
        return f"no such make target: {sorted(unknown)}" if unknown else None
    if words[:1] == ["nextbyte"] and len(words) > 1:
        options = [word.split("=")[0] for word in words[2:] if word.startswith("--")]
        done = subprocess.run(
            [sys.executable, "-m", "nextbyte", words[1], "--help"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            return f"no such command: nextbyte {words[1]}"
        missing = [option for option in options if option not in done.stdout]
        return f"nextbyte {words[1]} has no {missing}" if missing else None
    return None


@pytest.mark.parametrize("page", [p for p in PAGES if p.is_file()], ids=relative)
def test_commands_exist(page):
    shown = commands(page.read_text(encoding="utf-8"))
    assert [(c, complaint(c)) for c in shown if complaint(c)] == []


# --- The checker can fail ------------------------------------------------------------------------

PAGE = """Text.

```python
x = 41
```
<!-- skip: needs a server -->
```python
raise SystemExit(3)
```

<!-- model -->
```python
x = x + 1
assert x == 42
```

```console
$ make test PYTEST_ARGS="-k one"
3 passed
```

```sh
# a comment
make no-such-target
nextbyte no-such-command
```
"""


def test_blocks_are_found_with_their_notes_and_lines():
    found = python_blocks(PAGE)
    assert [(b.note, b.line) for b in found] == [("", 4), ("model", 13)]


def test_blocks_share_a_namespace_and_failures_name_the_line(tmp_path):
    page = tmp_path / "page.md"
    assert run(script(page, python_blocks(PAGE)), tmp_path).returncode == 0
    broken = run(script(page, python_blocks(PAGE.replace("42", "43"))), tmp_path)
    assert broken.returncode == 1
    assert "page.md" in broken.stderr
    assert "line 14" in broken.stderr


def test_wrong_commands_are_complained_about():
    wanted, wrong_target, wrong_command = commands(PAGE)
    assert complaint(wanted) is None
    assert complaint(wrong_target) is not None
    assert complaint(wrong_command) is not None
    assert complaint("pip install nextbyte") is None
