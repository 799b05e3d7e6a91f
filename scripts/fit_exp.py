"""Fits the polynomial of csrc/kernels/vector_kernels.cc: exp on half a binary order, degree 6.

Remez' exchange gives the coefficients whose greatest relative error is least. They are rounded to
float32, the constant one to 1 (exp(0) = 1), and the neighbours of the others are searched at
random, with smaller and smaller steps, for less error.

    python scripts/fit_exp.py
"""

from __future__ import annotations

import numpy as np

DEGREE = 6
# ln 2 / 2, and a little more: the integer next to x log2 e is found in float32 arithmetic.
REACH = 0.3475
POINTS = np.linspace(-REACH, REACH, 2001)
POWERS = np.exp(POINTS)


def greatest_error(coefficients: np.ndarray) -> float:
    """Return the greatest |p(r) / exp(r) - 1|; coefficients from degree 0 up."""
    values = np.polynomial.polynomial.polyval(POINTS, coefficients)
    return float(np.abs(values / POWERS - 1.0).max())


def equal_ripple() -> np.ndarray:
    """Return the minimax coefficients, not rounded."""
    nodes = -REACH * np.cos(np.pi * np.arange(DEGREE + 2) / (DEGREE + 1))
    coefficients = np.zeros(DEGREE + 1)
    for _ in range(20):
        matrix = np.stack([nodes**j / np.exp(nodes) for j in range(DEGREE + 1)], axis=1)
        signs = (-1.0) ** np.arange(DEGREE + 2)
        solution = np.linalg.solve(np.column_stack([matrix, signs]), np.ones(DEGREE + 2))
        coefficients = solution[:-1]
        # The next nodes: the greatest error between each two changes of its sign.
        error = np.polynomial.polynomial.polyval(POINTS, coefficients) / POWERS - 1.0
        cuts = np.flatnonzero(np.diff(np.sign(error))) + 1
        parts = np.split(np.arange(error.size), cuts)
        if len(parts) != DEGREE + 2:
            break
        nodes = POINTS[[part[np.argmax(np.abs(error[part]))] for part in parts]]
    return coefficients


def rounded(coefficients: np.ndarray) -> np.ndarray:
    """Return float32 coefficients of little error, the first one 1."""
    generator = np.random.default_rng(0)
    best = coefficients.astype(np.float32)
    best[0] = 1.0
    least = greatest_error(best.astype(np.float64))
    for scale in [256, 64, 16, 4, 2, 1] * 6:
        for _ in range(400):
            steps = np.round(generator.normal(size=DEGREE + 1) * scale)
            steps[0] = 0.0
            candidate = (best + steps * np.spacing(best)).astype(np.float32)
            error = greatest_error(candidate.astype(np.float64))
            if error < least:
                best, least = candidate, error
    return best


def main() -> None:
    """Fit, round, and print."""
    exact = equal_ripple()
    print(f"relative error of the minimax polynomial: {greatest_error(exact):.3g}")
    best = rounded(exact)
    for degree, value in enumerate(best.astype(np.float64)):
        print(f"c{degree} = {value.hex()}  # {value:.9g}")
    print(f"relative error in float32: {greatest_error(best.astype(np.float64)):.3g}")


if __name__ == "__main__":
    main()
