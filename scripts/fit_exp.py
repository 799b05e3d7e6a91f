"""Fits the polynomial of csrc/kernels/vector_kernels.cc: exp on half a binary order, degree 5.

The relative error is made equal-ripple by Remez' exchange. Coefficients are rounded to float32 from
the highest degree down, and those that are left are fitted again after each rounding, so that the
rounded ones are as good as they can be. Prints the constants and the final error.

    python scripts/fit_exp.py
"""

from __future__ import annotations

import numpy as np

DEGREE = 5
# ln 2 / 2, and a little more: the integer next to x log2 e is found in float32 arithmetic.
REACH = 0.3475
POINTS = np.linspace(-REACH, REACH, 400_001)


def relative_error(coefficients: np.ndarray) -> np.ndarray:
    """Return p(r) / exp(r) - 1 on the grid; coefficients from degree 0 up."""
    return np.polynomial.polynomial.polyval(POINTS, coefficients) / np.exp(POINTS) - 1.0


def refitted(fixed: dict[int, float]) -> np.ndarray:
    """Return the minimax coefficients, those in `fixed` given; the fixed ones are the highest."""
    free = DEGREE + 1 - len(fixed)
    known = np.zeros(DEGREE + 1)
    for degree, value in fixed.items():
        known[degree] = value
    nodes = -REACH * np.cos(np.pi * np.arange(free + 1) / free)
    for _ in range(30):
        rest = 1.0 - np.polynomial.polynomial.polyval(nodes, known) / np.exp(nodes)
        matrix = np.stack([nodes**j / np.exp(nodes) for j in range(free)], axis=1)
        signs = (-1.0) ** np.arange(free + 1)
        solution = np.linalg.solve(np.column_stack([matrix, signs]), rest)
        coefficients = known.copy()
        coefficients[:free] = solution[:free]
        # The next nodes: the greatest error between each two changes of its sign.
        error = relative_error(coefficients)
        cuts = np.flatnonzero(np.diff(np.sign(error))) + 1
        parts = np.split(np.arange(error.size), cuts)
        peaks = np.array([part[np.argmax(np.abs(error[part]))] for part in parts])
        if peaks.size < free + 1:
            break
        first = max(
            range(peaks.size - free), key=lambda i: np.abs(error[peaks[i : i + free + 1]]).min()
        )
        nodes = POINTS[peaks[first : first + free + 1]]
    return coefficients


def main() -> None:
    """Fit, round one coefficient after the other, and print."""
    fixed: dict[int, float] = {}
    for degree in range(DEGREE, -1, -1):
        fixed[degree] = float(np.float32(refitted(fixed)[degree]))
    rounded = np.array([fixed[degree] for degree in range(DEGREE + 1)])
    for degree, value in enumerate(rounded):
        print(f"c{degree} = {value.hex()}  # {value:.9g}")
    print(f"relative error of the polynomial: {np.abs(relative_error(rounded)).max():.3g}")


if __name__ == "__main__":
    main()
