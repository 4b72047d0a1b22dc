"""Floating-point operations of a gradient-based meta-iteration, counted by hand from its matrix products.

A layer of `i` inputs and `o` outputs costs `2 i o` operations an example, forwards. Everything else is a number of such
products, written down here once; `tests/test_operations.py` compares it with XLA's count of the compiled functions.

Notation of the comments, for a layer h -> W h: dots are tangents, bars cotangents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mime.configuration.gradients import Experiment


@dataclass(frozen=True)
class Perceptron:
    """Counts operations an example.

    Attributes:
        sizes: Numbers in the input, each hidden layer and the output.
    """

    sizes: Sequence[int]

    def count(self, first: float, later: float) -> float:
        """So many products in the first layer, whose inputs are data, and so many in each later one."""
        products = [2.0 * i * o for i, o in pairwise(self.sizes)]
        return first * products[0] + later * sum(products[1:])

    @property
    def forward(self) -> float:
        """W h."""
        return self.count(1, 1)

    @property
    def gradient(self) -> float:
        """W h, then the weights' gradient and, but for the first layer, the inputs'."""
        return self.count(2, 3)

    @property
    def tangent(self) -> float:
        """Ẇ h + W ḣ: the linear part of a forward pass, and as much for its transpose."""
        return self.count(1, 2)

    @property
    def gradient_tangent(self) -> float:
        """The linear part of a gradient, as much for its transpose: of three products, with two tangents each.

        In the first layer, whose inputs are data, only the weights' and the cotangents' tangents are left.
        """
        return self.count(2, 6)


def adaptation(policy: Perceptron, before: int, after: int, cg_iters: int, line_search: float) -> dict[str, float]:
    """Operations of MAML's parts for one task and one inner step.

    Args:
        policy: The policy's network.
        before: Steps of the task before adaptation.
        after: Steps after it.
        cg_iters: Of conjugate gradient; its starting residual is one product more.
        line_search: Step sizes tried.
    """
    outcome = policy.gradient * before + policy.forward * after
    linear = policy.gradient_tangent * before + policy.tangent * after
    return {
        "sampling": policy.forward * (before + after),
        "inner step": policy.gradient * before,
        "outer gradient": outcome + linear,
        "Fisher products": (cg_iters + 1) * 2 * linear,
        "line search": line_search * outcome,
    }


def of_iteration(
    experiment: Experiment, observation: int, action: int, tasks: int, horizon: int, line_search: float
) -> dict[str, float]:
    """Operations of a meta-iteration of MAML with one inner step, by part; of its policy's matrix products alone."""
    steps = experiment.fast_batch_size * horizon
    policy = Perceptron([observation, *experiment.hidden_sizes, action])
    parts = adaptation(policy, steps, steps, experiment.cg_iters, line_search)
    return {name: tasks * count for name, count in parts.items()}
