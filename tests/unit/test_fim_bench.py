"""The bench of infilling: its tasks, its methods against their definitions, its training texts."""

from __future__ import annotations

import gzip
import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import nextbyte as nb
from unit import tiny_tokenizers as tiny
from unit.known_models import CountingBackend, noise

BENCH = Path(__file__).resolve().parents[2] / "bench"
OURS = {"corpus", "harness", "memo_backend", "methods", "run", "sandbox", "summary", "tasks"}
OURS |= {"train"}
SPECIALS = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")


@pytest.fixture(scope="module", autouse=True)
def importable_bench():
    before, path = set(sys.modules), list(sys.path)
    sys.path[:0] = [str(BENCH / "fim"), str(BENCH)]
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in OURS:
            del sys.modules[name]


@pytest.fixture
def methods():
    return importlib.import_module("methods")


@pytest.fixture
def tasks():
    return importlib.import_module("tasks")


# --- Tasks ---------------------------------------------------------------------------------------


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "problems.jsonl.gz"
    lines = [
        {
            "task_id": f"Made/{number}",
            "prompt": f"def f{number}(x):\n    '''Doubles.'''\n" + "    # é\n" * number,
            "canonical_solution": "    doubled = x + x\n    return doubled\n\n",
            "test": f"def check(f):\n    assert f({number}) == {2 * number}\n",
            "entry_point": f"f{number}",
        }
        for number in range(8)
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.mark.parametrize("longest", [None, 5])
def test_tasks_are_seeded_cuts_of_the_solutions(tasks, problems, longest):
    made = tasks.make_tasks(20, seed=1, longest_middle=longest, path=problems)
    assert made == tasks.make_tasks(20, seed=1, longest_middle=longest, path=problems)
    assert made != tasks.make_tasks(20, seed=2, longest_middle=longest, path=problems)
    assert len({task.name.split("#")[0] for task in made[:8]}) == 8
    whole = "    doubled = x + x\n    return doubled\n"
    for task in made:
        assert f"{task.prefix}{task.middle}{task.suffix}".endswith("'''\n" + whole) or "é" in (
            task.prefix
        )
        assert (task.prefix + task.middle + task.suffix).endswith(whole)
        assert 1 <= len(task.middle) <= (longest or len(whole))
    assert len({len(task.prefix) for task in made}) > 8


def test_long_prompts_and_late_cuts_are_left_out(tasks, problems):
    made = tasks.make_tasks(400, seed=0, longest_middle=4, longest_prefix=60, path=problems)
    sizes = np.array([len(task.prefix) for task in made])
    assert sizes.max() <= 60
    assert np.mean(sizes == 60) < 0.2  # of 7 to 31 places each problem's last is no more likely
    assert {task.entry_point for task in made} == {"f0", "f1", "f2", "f3"}
    with pytest.raises(ValueError, match="less than 3"):
        tasks.make_tasks(1, seed=0, longest_prefix=3, path=problems)


def test_strata_are_the_first_draws_of_each_depth(tasks, problems):
    def depth_of(task):
        return len(task.prefix) % 5 // 2 + (task.middle[0] == "d")  # 0 to 3

    def drawn():
        return tasks.draw_tasks(seed=5, longest_middle=6, path=problems)

    strata = tasks.make_strata(7, depth_of, drawn(), longest_search=1000)
    count = sum(strata.drawn.values())
    every = tasks.make_tasks(count, seed=5, longest_middle=6, path=problems)
    for name in tasks.DEPTHS:
        of_name = [task for task in every if tasks.depth_name(depth_of(task)) == name]
        assert strata.drawn[name] == len(of_name) >= 7
        assert [t for t in strata.tasks if tasks.depth_name(depth_of(t)) == name] == of_name[:7]
    assert strata.tasks == [task for task in every if task in strata.tasks]
    assert depth_of(every[-1]) == depth_of(strata.tasks[-1])  # no draw more than needed
    assert min(strata.drawn.values()) == 7
    short = tasks.make_strata(7, depth_of, drawn(), longest_search=9)
    assert sum(short.drawn.values()) == len(short.tasks) == 9


def test_the_true_middle_passes_and_another_fails(tasks, problems):
    sandbox = importlib.import_module("sandbox")
    task = tasks.make_tasks(1, seed=3, longest_middle=9, path=problems)[0]
    assert sandbox.run(task.program(task.middle)).passed
    assert not sandbox.run(task.program("$")).passed


def test_an_answer_is_judged_as_it_ends_and_cut_where_the_middle_ends(tasks):
    run = importlib.import_module("run")
    tests = "def check(f):\n    assert f(2) == 4\n"
    task = tasks.Task("Made/0#1", "def f(x):\n    return x ", "* 2 ", "# doubled\n", tests, "f")
    right = {"exact": 1.0, "passed": 1.0, "first_line": 1.0, "told_exact": 1.0, "told_passed": 1.0}
    assert run.judge(task, b"* 2 ", "spm") == right
    assert run.judge(task, b"* 2 # doubled\nno", "psm") == right  # it goes on with the suffix
    assert run.judge(task, b"* 2 ", "prefix") == right | {"first_line": 0.0}
    assert run.judge(task, b"* 2 # doubled", "prefix") == right
    late = run.judge(task, b"* 2 + 1", "spm")
    assert late == right | {"exact": 0.0, "passed": 0.0, "first_line": 0.0}
    other = run.judge(task, b"+ x", "spm")
    assert other == dict.fromkeys(right, 0.0) | {"passed": 1.0, "told_passed": 1.0}


def test_depth_is_how_many_tokens_are_no_tokens_of_the_whole(tasks, tmp_path):
    merges = [(b"y", b"z"), (b"x", b"yz"), (b"a", b"b")]
    file = tiny.document([bytes([byte]) for byte in b"abxyz"], merges, specials=())
    encode = nb.Tokenizer.from_file(tiny.write(tmp_path, file, "deep.json")).encode
    for before, after, expected in [
        ("a", "x", 0), ("", "ab", 0), ("ab", "", 0), ("a", "b", 1), ("ba", "ba", 1), ("xy", "z", 2),
        ("x", "yz", 1), ("axy", "za", 2),
    ]:  # fmt: skip
        assert tasks.depth(encode, before, after) == expected, (before, after)
    assert [tasks.depth_name(taken) for taken in (0, 1, 2, 3)] == [*tasks.DEPTHS, "deeper"]


# --- Methods -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coder(tmp_path_factory):
    tokens = [bytes([byte]) for byte in range(32, 127)] + [b"\n"]
    merges = [(b"a", b"b"), (b" ", b"a"), (b"ab", b"c"), (b"f", b"(")]
    file = tiny.document(tokens, merges, specials=SPECIALS)
    return nb.Tokenizer.from_file(
        tiny.write(tmp_path_factory.mktemp("tokenizers"), file, "coder.json")
    )


@pytest.fixture
def side(coder, methods):
    end = coder.special_tokens["<|endoftext|>"]
    backend = CountingBackend(noise(coder.vocab_size, 6.0), coder.vocab_size, end_tokens=(end,))
    return methods.TokenSide(nb.ByteLM(coder, backend, start_token=end))


def token_law(side, context, allowed):
    """The law of the next token, by its definition."""
    row = noise(side.lm.tokenizer.vocab_size, 6.0)(context)
    weights = {token: math.exp(row[token]) for token in allowed}
    return {token: weight / sum(weights.values()) for token, weight in weights.items()}


def drawable(side):
    tokenizer = side.lm.tokenizer
    end = tokenizer.special_tokens["<|endoftext|>"]
    return [t for t in range(tokenizer.vocab_size) if tokenizer.token_bytes(t) or t == end]


@pytest.mark.parametrize("order", ["prefix", "psm", "spm"])
def test_prompts_are_of_the_layout_and_only_the_open_text_is_healed(side, methods, order):
    prompt = methods.make_prompt(side.lm, b"x = a", b"c)\n", order)
    ids, encode = side.lm.tokenizer.special_tokens, side.lm.tokenizer.encode
    end, before, middle, after = (ids[name] for name in SPECIALS[:4])
    assert (
        prompt.fixed
        == {
            "prefix": [end],
            "psm": [end, before, *encode("x = a"), after, *encode("c)\n"), middle],
            "spm": [end, before, after, *encode("c)\n"), middle],
        }[order]
    )
    assert prompt.text == (b"" if order == "psm" else b"x = a")
    tokens, forced = methods.taken_back(side, prompt)
    if order == "psm":
        assert (tokens, forced) == (prompt.fixed, b"")
    else:
        assert (tokens, forced) == ([*prompt.fixed, *encode("x =")], b" a")


@pytest.mark.parametrize("order", ["prefix", "psm", "spm"])
def test_token_methods_draw_what_their_definitions_say(side, methods, order):
    allowed = drawable(side)
    spell = side.lm.tokenizer.token_bytes
    params = nb.SamplingParams(temperature=0.0, max_bytes=6)
    prompt = methods.make_prompt(side.lm, b"x = a", b"c)\n", order)
    for method, tokens, forced in [
        (methods.plain, prompt.fixed + list(side.lm.tokenizer.encode(prompt.text)), b""),
        (methods.one_token, *methods.taken_back(side, prompt)),
    ]:
        context, text, first = tuple(tokens), b"", True
        while len(text) < 6 + len(forced):
            chosen = [t for t in allowed if not first or spell(t).startswith(forced)]
            law = token_law(side, context, chosen)
            token = max(law, key=law.get)
            if not spell(token):
                break
            text, context, first = text + spell(token), (*context, token), False
        assert method(side, prompt, params).bytes == text[len(forced) :][:6]


def test_the_laws_of_plain_and_healed_tokens_are_their_products(side, methods):
    allowed = drawable(side)
    encode, spell = side.lm.tokenizer.encode, side.lm.tokenizer.token_bytes
    prompt = methods.make_prompt(side.lm, b"x = a", b"", "prefix")

    def product(context, tokens):
        total = 1.0
        for token in tokens:
            total *= token_law(side, context, allowed)[token]
            context = (*context, token)
        return total

    own = (*prompt.fixed, *encode(b"x = a"))
    expected = product(own, encode(b"bc"))
    assert math.exp(methods.plain_logprob(side, prompt, b"bc")) == pytest.approx(expected, rel=1e-9)
    # " a" is taken back; it is the only way to begin with itself, so it is certain.
    assert math.exp(methods.one_token_logprob(side, prompt, b"bc")) == pytest.approx(
        expected, rel=1e-9
    )
    prompt = methods.make_prompt(side.lm, b"x", b"", "prefix")
    prompt = methods.Prompt([b"xab"], prompt.fixed, b"xab", prompt.ends)
    context = (*prompt.fixed, *encode(b"x"))
    first = token_law(side, context, [t for t in allowed if spell(t).startswith(b"ab")])
    (ab,), (abc,) = encode(b"ab"), encode(b"abc")
    expected = first[abc] * product((*context, abc), encode(b"x"))
    expected += first[ab] * product((*context, ab), encode(b"cx"))
    assert math.exp(methods.one_token_logprob(side, prompt, b"cx")) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize(
    ("text", "middle"), [(b"x = a", b"bc("), (b"", b"ab"), (b"f", b"(c"), (b"ab", b"c(")]
)
def test_exact_laws_agree_where_the_definitions_do(side, methods, text, middle):
    prompt = methods.make_prompt(side.lm, text, b"", "prefix")
    exact = methods.exact_logprob(side, prompt, middle)
    assert exact == pytest.approx(nb.loglikelihood(side.lm, text, middle), abs=1e-12)
    # One token deep at most: what is taken back is all that the covers can differ in.
    healed = methods.one_token_fresh_logprob(side, prompt, middle)
    assert healed == pytest.approx(exact, abs=1e-12)
    if text == b"ab":  # plain tokens hold that no more of the token comes
        assert methods.plain_fresh_logprob(side, prompt, middle) != pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("unit", ["token", "byte"])
def test_nextbyte_is_what_infill_gives(side, methods, unit):
    params = nb.SamplingParams(temperature=0.7, seed=4, max_bytes=9)
    for order in ("psm", "spm"):
        prompt = methods.make_prompt(side.lm, b"x = a", b"c)\n", order)
        found = methods.nextbyte_by(unit)(side, prompt, params)
        wanted = nb.infill(
            side.lm, "x = a", "c)\n", nb.SamplingParams(
                temperature=0.7, seed=4, max_bytes=9, unit=unit
            ), order=order,
        )  # fmt: skip
        assert (found.bytes, found.evaluations) == (wanted.bytes, wanted.lm_evaluations)


def test_a_middle_ends_where_it_repeats_the_suffix(methods):
    assert methods.meet_suffix(b"ab\nreturn x\nno", b"return x\n") == b"ab\n"
    assert methods.meet_suffix(b"ab) no", b") \nmore") == b"ab) no"


# --- Training ------------------------------------------------------------------------------------

TEXT = "def double(value):\n    return value + value\n\n\nclass Ünit:\n    size = 12\n" * 30


@pytest.fixture(scope="module")
def corpus():
    pytest.importorskip("tokenizers")
    return importlib.import_module("corpus")


@pytest.mark.parametrize("single_digits", [False, True])
def test_training_sequences_are_excerpts_in_both_orders(corpus, single_digits):
    tokenizer = corpus.train_tokenizer([TEXT], 320, single_digits=single_digits)
    assert tokenizer.get_vocab_size() <= 320
    first, again = (corpus.Excerpts([TEXT], tokenizer, seed=1) for _ in range(2))
    ids = {tokenizer.token_to_id(name): name for name in corpus.SPECIALS}
    layouts = set()
    for _ in range(60):
        sequence = first.sequence()
        assert sequence == again.sequence()
        parts, names = [[]], []
        for token in sequence:
            if token in ids:
                names.append(ids[token])
                parts.append([])
            else:
                parts[-1].append(token)
        texts = [tokenizer.decode(part, skip_special_tokens=False) for part in parts]
        names = tuple(name.strip("<|>").removeprefix("fim_") for name in names)
        layouts.add(names)
        if names == ("prefix", "suffix", "middle", "endoftext") and not parts[1]:
            whole = texts[3] + texts[2]  # SPM, or PSM with an empty prefix: the same tokens
        else:
            whole = texts[1] + texts[3] + texts[2] if len(names) > 1 else texts[0]
        assert whole in TEXT + TEXT
    assert layouts == {("endoftext",), ("prefix", "suffix", "middle", "endoftext")}
    block = next(first.blocks(50))
    assert len(block) == 50


def test_cuts_are_within_and_half_of_the_middles_short(corpus):
    tokenizer = corpus.train_tokenizer([TEXT], 300, single_digits=False)
    excerpts = corpus.Excerpts([TEXT], tokenizer, seed=2)
    cuts = np.array([excerpts.cuts(1000) for _ in range(400)])
    assert (cuts >= 0).all()
    assert (cuts <= 1000).all()
    assert 0.4 < np.mean(cuts[:, 1] - cuts[:, 0] <= corpus.SHORT) < 0.7


@pytest.mark.slow
def test_a_trained_folder_is_read_and_infills(corpus, tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    train = importlib.import_module("train")
    monkeypatch.setattr(train, "standard_library", lambda: [TEXT])
    folder = train.train(4096, minutes=1.0, steps=2, folder=tmp_path / "model")  # checks it too
    notes = json.loads((folder / "training.json").read_text("utf-8"))
    assert (notes["steps"], notes["tokens"]) == (2, 2 * train.BLOCK * train.BATCH)
    assert "psm: " in capsys.readouterr().out
    assert corpus.END in nb.Tokenizer.from_file(folder).special_tokens
