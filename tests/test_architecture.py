"""Holds the layout: no upward import or include, no file without a floor or a first line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "nextbyte"

# --- The tables ----------------------------------------------------------------------------------

# Each row may use the rows above it and its own folder; folders of one row do not know each other.
CPP_FLOORS = (
    {"support"},
    {"kernels", "text"},
    {"vocabulary"},
    {"tokenizer"},
    {"families", "cover"},
    {"mass"},
    {"bindings"},
)
# Standard templates in a kernel could be compiled for one CPU and merged into code for another.
KERNEL_HEADERS = {
    "cfloat",
    "cstddef",
    "cstdint",
    "float.h",
    "immintrin.h",  # to permute a register
    "math.h",
    "stddef.h",
    "stdint.h",
    "string.h",
}
PYTHON_HEADER = re.compile(r"nanobind/|pybind11/|Python\.h")

PYTHON_FLOORS = (
    {"_core", "errors"},
    {
        "escapes",
        "fim_tokens",
        "progress",
        "simd",
        "state_codec",
        "stop_strings",
        "text_input",
        "text_stream",
    },
    {"formats", "models"},
    {"compiling", "cover_tree", "description_codec", "verification", "witnesses"},
    {"description_cache"},
    {"tokenizer_report"},
    {"tokenizer_inspection", "tokenizer_rows"},
    {"tokenizer", "backends"},
    {"byte_model", "cover", "look_ahead", "segments", "token_choice"},
    {"fim_formats", "lineage"},
    {"byte_lm_state"},
    {"audits", "text_weights", "token_walk"},
    {"byte_lm"},
    {"sampling", "plain", "ensemble", "scoring", "healing"},
    {"infilling", "integrations", "display", "tokenizer_display"},
    {"__init__"},
    {"cli", "commands", "server", "__main__"},
)
HIGHEST_USER_OF_CORE = "byte_lm"
ALLOWED_SIBLINGS = {
    ("errors", "_core"): "the exception types that the core throws",
    ("witnesses", "verification"): "confirms with the library that the other compares with",
    ("__main__", "cli"): "python -m nextbyte is the command line",
    ("cli", "commands"): "arguments are declared in one file and acted upon in the other",
    ("tokenizer_display", "display"): "the same advice where rich is missing",
    ("commands", "server"): "`nextbyte serve` starts it",
}
# Who may import what beside the standard library and numpy, and only inside functions.
FRAMEWORK_HOMES = {
    "gguf": {"models"},
    "huggingface_hub": {"models"},
    "llama_cpp": {"backends"},
    "rich": {"cli", "display", "progress", "tokenizer_display"},
    "safetensors": {"backends", "models"},
    # verification: the library that defines a tokenizer file is what ours is compared with
    "sentencepiece": {"formats", "verification"},
    "starlette": {"server"},
    "tiktoken": {"formats", "verification"},
    "tokenizers": {"formats", "integrations", "models", "tokenizer", "verification"},
    "torch": {"backends", "integrations", "models"},
    "transformers": {"backends", "commands", "integrations", "models"},  # commands: mutes its bars
    "uvicorn": {"server"},
    "vllm": {"backends"},
}

# Modules that subclass a framework's class: they load it, so nobody may load them but in functions.
LOADED_LATE = {"backends/_grouped_attention.py", "backends/_kv_cache.py", "server/app.py"}

MAX_LINES = 400
LONG_FILES = {}  # path -> reason
FIRST_LINE = {
    **dict.fromkeys((".cc", ".h", ".inc"), re.compile(r"// \S.*\w")),
    **dict.fromkeys((".py", ".pyi"), re.compile(r'r?"""\S.*\w')),
    **dict.fromkeys((".sh", ".txt"), re.compile(r"# \S.*\w")),
}


# --- The checker: text in, complaints out --------------------------------------------------------


def floor_of(name: str, floors: tuple[set[str], ...]) -> int | None:
    return next((i for i, row in enumerate(floors) if name in row), None)


def include_violations(path: str, text: str) -> list[str]:
    """Complaints about the includes of csrc/<path>."""
    home = Path(path).parts[0]
    floor = floor_of(home, CPP_FLOORS)
    if floor is None:
        return [f"csrc/{path}: folder {home} has no floor"]
    found = []
    for opening, header in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, re.MULTILINE):
        if PYTHON_HEADER.match(header):
            bad = home != "bindings"
        elif opening == "<":
            bad = home == "kernels" and header not in KERNEL_HEADERS
        else:
            target = header.split("/")[0]
            below = floor_of(target, CPP_FLOORS)
            bad = target != home and (below is None or below >= floor or home == "kernels")
        if bad:
            found.append(f"csrc/{path}: must not include {header}")
    return found


def imports(tree: ast.Module, package: str) -> list[tuple[str, bool]]:
    """Every imported dotted name, and whether it is imported when the module is loaded."""
    found = []

    def visit(node: ast.AST, *, at_load: bool) -> None:
        later: list[ast.AST] = []
        if isinstance(node, ast.Import):
            found.extend((alias.name, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found.extend((f"{base}.{alias.name}", at_load) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            later = list(ast.iter_child_nodes(node))
        elif isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            later = node.body
        for child in ast.iter_child_nodes(node):
            visit(child, at_load=at_load and child not in later)

    visit(tree, at_load=True)
    return found


def import_violations(path: str, text: str) -> list[str]:
    """Complaints about the imports of python/nextbyte/<path>."""
    home = Path(path).parts[0].removesuffix(".py")
    floor = floor_of(home, PYTHON_FLOORS)
    if floor is None:
        return [f"{path}: {home} has no floor"]
    package = ".".join(["nextbyte", *path.split("/")[:-1]])
    names = set().union(*PYTHON_FLOORS)
    found = []
    for dotted, at_load in imports(ast.parse(text), package):
        top, _, rest = dotted.partition(".")
        if top == "nextbyte":
            target = rest.split(".")[0]
            target = target if target in names else "__init__"
            below = floor_of(target, PYTHON_FLOORS)
            if target == "_core":
                bad = floor > floor_of(HIGHEST_USER_OF_CORE, PYTHON_FLOORS)
            elif home == target or (home, target) in ALLOWED_SIBLINGS:
                bad = False
            else:
                bad = below >= floor
        elif top in sys.stdlib_module_names or top == "numpy":
            bad = False
        else:
            late = path in LOADED_LATE
            bad = (at_load and not late) or home not in FRAMEWORK_HOMES.get(top, ())
        loaded = {f"nextbyte.{p.removesuffix('.py').replace('/', '.')}" for p in LOADED_LATE}
        bad = bad or (at_load and any(f"{dotted}.".startswith(f"{name}.") for name in loaded))
        if bad:
            found.append(f"{path}: must not import {dotted}{' when loaded' if at_load else ''}")
    return found


def shape_violations(path: str, text: str) -> list[str]:
    """Complaints about a file's first line and length."""
    found = []
    lines = text.splitlines() or [""]
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    if not FIRST_LINE[Path(path).suffix].match(first):
        found.append(f"{path}: the first line must say the file's one responsibility")
    if len(lines) > MAX_LINES and path not in LONG_FILES:
        found.append(f"{path}: {len(lines)} lines; split it, or list it with its reason")
    return found


# --- The tree ------------------------------------------------------------------------------------


def files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix in suffixes
        and not {"__pycache__", "golden"} & set(path.parts)
        and path.name != "_core.pyi"  # generated, see `make lint`
    )


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def expect_none(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_includes_point_down():
    core = ROOT / "csrc"
    sources = [path for path in core.rglob("*") if path.is_file()]
    assert sources
    expect_none([f"{p}: unknown suffix" for p in sources if p.suffix not in FIRST_LINE])
    expect_none(
        [c for p in sources for c in include_violations(p.relative_to(core).as_posix(), read(p))]
    )


def test_quoted_includes_exist():
    for path in files(ROOT / "csrc", ".cc", ".h"):
        for header in re.findall(r'#\s*include\s*"([^"]+)"', read(path)):
            assert (ROOT / "csrc" / header).is_file(), f"{path} includes {header}"


def test_every_source_is_built():
    listed = set(re.findall(r"\S+\.cc", read(ROOT / "CMakeLists.txt")))
    present = {p.relative_to(ROOT).as_posix() for p in files(ROOT / "csrc", ".cc")}
    assert present == {path for path in listed if path.startswith("csrc/")}


def test_imports_point_down():
    sources = files(PACKAGE, ".py")
    assert sources
    expect_none(
        [c for p in sources for c in import_violations(p.relative_to(PACKAGE).as_posix(), read(p))]
    )


def test_the_oracle_shares_no_code_with_the_product():
    meeting_points = {"report.py"}  # prints comparisons of the two
    for path in files(ROOT / "tests" / "oracle", ".py"):
        if path.name in meeting_points:
            continue
        names = [dotted for dotted, _ in imports(ast.parse(read(path)), "oracle")]
        assert not [name for name in names if name.split(".")[0] == "nextbyte"], path


def test_every_file_says_its_responsibility_and_stays_short():
    folders = ("csrc", "python", "tests", "bench", "scripts", "examples")
    sources = [p for f in folders for p in files(ROOT / f, ".cc", ".h", ".py", ".sh")]
    sources.append(ROOT / "CMakeLists.txt")
    expect_none(
        [c for p in sources for c in shape_violations(p.relative_to(ROOT).as_posix(), read(p))]
    )


def test_exceptions_are_still_needed():
    for path in LONG_FILES:
        assert len(read(ROOT / path).splitlines()) > MAX_LINES, path


def test_importing_the_package_imports_no_framework():
    code = f"import sys, nextbyte; print(sorted({set(FRAMEWORK_HOMES)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- The checker can fail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "complaints"),
    [
        ("tokenizer/a.cc", '#include "support/error.h"\n#include <vector>\n', 0),
        ("tokenizer/a.cc", '#include "tokenizer/b.h"\n', 0),
        ("mass/a.cc", '#include "kernels/masses.h"\n#include "cover/c.h"\n', 0),
        ("bindings/a.cc", "#include <nanobind/nanobind.h>\n", 0),
        ("support/a.h", '#include "tokenizer/b.h"\n', 1),
        ("text/a.cc", '#include "kernels/masses.h"\n', 1),
        ("cover/a.cc", '  #  include "mass/byte_stream.h"\n', 1),
        ("mass/a.cc", "#include <Python.h>\n#include <nanobind/ndarray.h>\n", 2),
        ("kernels/a.cc", '#include "kernels/a.h"\n#include <math.h>\n', 0),
        ("kernels/a.cc", '#include "support/half.h"\n#include <vector>\n', 2),
        ("new_folder/a.cc", "", 1),
        ("cover/a.cc", '#include "stray.h"\n', 1),
    ],
)
def test_include_checker(path, text, complaints):
    assert len(include_violations(path, text)) == complaints


@pytest.mark.parametrize(
    ("path", "text", "complaints"),
    [
        ("byte_lm.py", "from nextbyte import _core, errors\nimport numpy as np\nimport os\n", 0),
        ("formats/gguf.py", "from nextbyte.formats import base\nfrom . import base\n", 0),
        ("backends/function.py", "from ..errors import BackendError\n", 0),
        ("sampling.py", "from nextbyte.ensemble import ByteEnsemble\n", 1),
        ("sampling.py", "from nextbyte import ByteLM\n", 1),
        ("scoring.py", "from nextbyte._core import ByteStream\n", 1),
        ("errors.py", "def f():\n    import nextbyte.tokenizer\n", 1),
        ("backends/function.py", "from .. import tokenizer\n", 1),
        ("backends/transformers.py", "import torch\n", 1),
        ("backends/transformers.py", "try:\n    import torch\nexcept ImportError:\n    pass\n", 1),
        ("backends/transformers.py", "def f():\n    import torch\n", 0),
        ("backends/transformers.py", "if TYPE_CHECKING:\n    import torch\n", 0),
        ("backends/transformers.py", "if not TYPE_CHECKING:\n    import torch\n", 1),
        ("backends/_kv_cache.py", "import torch\n", 0),
        ("backends/_kv_cache.py", "import rich\n", 1),
        ("backends/transformers.py", "from nextbyte.backends._kv_cache import Pool\n", 1),
        ("backends/transformers.py", "def f():\n    from nextbyte.backends import _kv_cache\n", 0),
        ("byte_lm.py", "def f():\n    import torch\n", 1),
        ("cli.py", "def f():\n    import requests\n", 1),
        ("cli.py", "import nextbyte as nb\nfrom nextbyte import generate, commands\n", 0),
        ("stray.py", "", 1),
    ],
)
def test_import_checker(path, text, complaints):
    assert len(import_violations(path, text)) == complaints


@pytest.mark.parametrize(
    ("path", "text", "complaints"),
    [
        ("a.py", '"""Reads one thing."""\n', 0),
        ("a.sh", "#!/bin/sh\n# Does one thing.\n", 0),
        ("a.h", "// Holds one thing.\n", 0),
        ("a.py", "import os\n", 1),
        ("a.py", "", 1),
        ("a.h", "#ifndef A\n", 1),
        ("a.cc", "// Long.\n" * (MAX_LINES + 1), 1),
    ],
)
def test_shape_checker(path, text, complaints):
    assert len(shape_violations(path, text)) == complaints
