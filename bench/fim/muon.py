"""The optimizer Muon in float32: `torch.optim.Muon` computes in bfloat16, slow on many CPUs.

Momentum whose matrix is made orthogonal by a Newton-Schulz iteration (Keller Jordan et al., 2024),
scaled so that its entries have the size of AdamW's (Liu et al., arXiv 2502.16982, section 2.2).
"""

from __future__ import annotations

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonal(matrix):
    """Return about the nearest matrix whose rows (or columns) are orthonormal."""
    first, second, third = COEFFICIENTS
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    found = wide / (wide.norm() + 1e-7)
    for _ in range(STEPS):
        gram = found @ found.T
        found = first * found + (second * gram + third * gram @ gram) @ found
    return found if wide is matrix else found.T


class Muon(torch.optim.Optimizer):
    """Muon for the matrices inside a model; its embeddings and norms need another optimizer."""

    def __init__(self, parameters, lr, *, momentum=0.95, weight_decay=0.1):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; there is no closure to evaluate."""
        assert closure is None
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                kept = self.state[weights].setdefault("momentum", torch.zeros_like(weights))
                kept.lerp_(weights.grad, 1 - momentum)
                direction = orthogonal(weights.grad.lerp(kept, momentum))
                weights.mul_(1 - rate * group["weight_decay"])
                weights.add_(direction, alpha=-rate * 0.2 * max(weights.shape) ** 0.5)
