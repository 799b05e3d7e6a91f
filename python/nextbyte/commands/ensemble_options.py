"""Several models on the command line: the options, the ensemble they make, its warnings."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Final

from nextbyte.ensemble import ByteEnsemble
from nextbyte.ensemble.common_vocabulary import DEFAULT_TOLERANCE, CommonVocabularyEnsemble
from nextbyte.ensemble.rules import RULES, Rule, checked_weights
from nextbyte.errors import InvalidInputError, MemberLostWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nextbyte.byte_model import ByteModel

__all__ = [
    "add_ensemble_options",
    "described",
    "load_models",
    "members_tolerance",
    "model_names",
    "warnings_in_one_line",
]

DEFAULT_RULE: Final[Rule] = "mixture"

COMMON_VOCABULARY: Final = "common-vocabulary"
"""The mixture over common tokens: no rule over bytes, but an option of the same name."""


def add_ensemble_options(parser: argparse.ArgumentParser, default_model: str) -> None:
    """Add --model, which may be given again, and how several are combined."""
    parser.set_defaults(default_model=default_model)
    group = parser.add_argument_group("models")
    group.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="PATH_OR_NAME",
        help="model directory or embedded model; give it again for an ensemble "
        f"(default: {default_model})",
    )
    group.add_argument(
        "--weights",
        type=_numbers,
        metavar="W,W",
        help="one number a model, separated by commas (default: equal ones)",
    )
    group.add_argument(
        "--rule",
        choices=[*RULES, COMMON_VOCABULARY],
        help=f"how models are combined (default: {DEFAULT_RULE}); {COMMON_VOCABULARY} is a mixture "
        "by tokens that all have, within --tolerance (then by default "
        f"{DEFAULT_TOLERANCE}) of its definition",
    )


def members_tolerance(arguments: argparse.Namespace) -> float:
    """Return the tolerance of each model: --tolerance, unless that is one of the common tokens."""
    return 0.0 if arguments.rule == COMMON_VOCABULARY else arguments.tolerance or 0.0


def load_models(
    arguments: argparse.Namespace,
    load: Callable[[str], ByteModel],
    *,
    tolerance: float | None = None,
) -> ByteModel:
    """Return the one model that was asked for, or the ensemble; `tolerance` is of common tokens.

    Raises
    ------
    InvalidInputError
        Weights or a rule that the models cannot have; no model is loaded then.
    """
    names = model_names(arguments)
    if len(names) == 1:
        if arguments.weights is not None or arguments.rule is not None:
            raise InvalidInputError("--weights and --rule need two models: give --model again")
        return load(names[0])
    rule = _rule(arguments)
    checked_weights(arguments.weights, len(names), rule)
    loaded = {name: load(name) for name in dict.fromkeys(names)}
    models = [loaded[name] for name in names]
    if arguments.rule == COMMON_VOCABULARY:
        if tolerance is None:
            tolerance = DEFAULT_TOLERANCE
        return CommonVocabularyEnsemble(models, arguments.weights, tolerance=tolerance)
    return ByteEnsemble(models, arguments.weights, rule)


def described(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the JSON fields of the models."""
    names = model_names(arguments)
    if len(names) == 1:
        return {"model": names[0]}
    weights = checked_weights(arguments.weights, len(names), _rule(arguments)).tolist()
    return {"models": names, "weights": weights, "rule": arguments.rule or DEFAULT_RULE}


@contextlib.contextmanager
def warnings_in_one_line(*, quiet: bool) -> Iterator[None]:
    """Show that a member is lost as a line of this program, or not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", MemberLostWarning)
        shown = warnings.showwarning

        def show(
            message: Warning | str, category: type[Warning], *where: object, **options: object
        ) -> None:
            if issubclass(category, MemberLostWarning):
                sys.stderr.write(f"nextbyte: warning: {message}\n")
            else:
                shown(message, category, *where, **options)  # type: ignore[arg-type]

        warnings.showwarning = show
        yield


def model_names(arguments: argparse.Namespace) -> list[str]:
    """Return the models that were asked for, in their order."""
    return list(arguments.models or [arguments.default_model])


def _rule(arguments: argparse.Namespace) -> Rule:
    """Return the rule by which weights are checked."""
    if arguments.rule in {None, COMMON_VOCABULARY}:
        return DEFAULT_RULE
    rule: Rule = arguments.rule
    return rule


def _numbers(text: str) -> list[float]:
    """Parse numbers separated by commas."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be numbers separated by commas, got {text!r}"
        ) from None
