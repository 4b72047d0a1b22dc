"""What acts in a trained run, as a graph of ONNX's operators."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from mime.envs.environment import ActionUnits
from mime.policies.numpy_recurrent import NumpyGaussian, RecurrentNumpyPolicy

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu", "sigmoid": "Sigmoid"}
CENTRE, UNIT = "action.centre", "action.unit"
SEQUENCE = "steps", "batch"

Tensors = dict[str, np.ndarray]
Shapes = dict[str, list[int | str]]
MakeNode = Callable[..., Any]
"""`onnx.helper.make_node`."""


class Graph(NamedTuple):
    """A network in ONNX's terms.

    Attributes:
        nodes: Its operators.
        constants: Arrays by name. One that is also an input is what that is unless it is given.
        inputs: Shapes by name; an axis with a name has any length.
        outputs: Likewise.
    """

    nodes: list[Any]
    constants: Tensors
    inputs: Shapes
    outputs: Shapes


@runtime_checkable
class ActingNetwork(Protocol):
    """What acts.

    Attributes:
        tensors: All of its arrays, under the names of a PyTorch state dict.
    """

    @property
    def tensors(self) -> Tensors:
        """All of its arrays."""
        ...

    def graph(self, node: MakeNode) -> Graph:
        """From observations to what describes the action."""
        ...


class Feedforward(NamedTuple):
    """A network from observations.

    Attributes:
        tensors: All of its arrays, under the names of a PyTorch state dict.
        layers: Names of its layers, as `layer1`, in their order.
        activation: Between them: a key of `ACTIVATIONS`.
        latent: The latent that is also seen unless another is given; None if there is none.
    """

    tensors: Tensors
    layers: list[str]
    activation: str
    latent: Float[np.ndarray, "latent"] | None

    def graph(self, node: MakeNode) -> Graph:
        """From `observation` `[batch observation]`, and `latent` if there is one."""
        tensors, first = self.tensors, self.layers[0]
        weight, held = tensors[f"{first}.weight"], 0 if self.latent is None else self.latent.size
        seen = weight.shape[1] - held
        constants = {"observation.weight": weight[:, :seen], f"{first}.bias": tensors[f"{first}.bias"]}
        inputs: Shapes = {"observation": ["batch", seen]}
        nodes, features = [], "observation.sum"
        nodes.append(node("Gemm", ["observation", "observation.weight", f"{first}.bias"], [features], transB=1))
        if self.latent is not None:
            # An input with a value of its own may be left out.
            inputs["latent"] = ["latents", held]
            constants["latent"] = self.latent[None]
            constants["latent.weight"] = np.ascontiguousarray(weight[:, seen:].T)
            nodes.append(node("MatMul", ["latent", "latent.weight"], ["latent.sum"]))
            nodes.append(node("Add", [features, "latent.sum"], [f"{first}.sum"]))
            features = f"{first}.sum"
        for name in self.layers[1:]:
            nodes.append(node(ACTIVATIONS[self.activation], [features], [f"{name}.input"]))
            features = f"{name}.sum"
            nodes.append(node("Gemm", [f"{name}.input", f"{name}.weight", f"{name}.bias"], [features], transB=1))
            constants |= {f"{name}.{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias")}
        width = tensors[f"{self.layers[-1]}.bias"].size
        if UNIT in tensors:
            constants |= {name: tensors[name] for name in (UNIT, CENTRE)}
            nodes += [
                node("Split", [features], ["squashed.input", "squashed.log_std"], axis=-1),
                node("Tanh", ["squashed.input"], ["squashed"]),
                *_scaled(node, "squashed", "action"),
            ]
            return Graph(nodes, constants, inputs, {"action": ["batch", width // 2]})
        if "sigma" not in tensors:
            return Graph([*nodes, node("Identity", [features], ["logits"])], constants, inputs, _logits(width, "batch"))
        nodes += [node("Identity", [features], ["mean"]), node("Identity", ["sigma"], ["log_std"])]
        constants["sigma"] = tensors["sigma"]
        return Graph(nodes, constants, inputs, {"mean": ["batch", width], "log_std": [width]})


class Recurrent(NamedTuple):
    """A network with a memory, from all that has been observed, done and earned.

    Attributes:
        policy: The same in NumPy.
        units: Of actions outside, if they differ from the policy's.
    """

    policy: RecurrentNumpyPolicy
    units: ActionUnits | None

    @property
    def tensors(self) -> Tensors:
        """All of its arrays, in the units that the network sees."""
        return self.policy.weights

    def graph(self, node: MakeNode) -> Graph:
        """From sequences `[steps batch ...]` and the memory before them, `hidden` `[1 batch hidden]`.

        Inputs of a step are `observation`, `action` and `reward` of the step before, and `done`, which is 1 in the
        first step of every episode but the first. Actions are in the environment's units, or one-hot.
        """
        weights, actions = self.policy.weights, self.policy.actions
        hidden, width = weights["gru.weight_hh"].shape[1], len(weights["mu.bias"])
        size = weights["gru.weight_ih"].shape[1] - width - 2
        constants: Tensors = {
            "gru.W": _zrh(weights["gru.weight_ih"])[None],
            "gru.R": _zrh(weights["gru.weight_hh"])[None],
            "gru.B": np.concatenate([_zrh(weights[f"gru.bias_{part}"]) for part in ("ih", "hh")])[None],
            "observation.scale": np.array(self.policy.observation_scale, np.float32),
            "reward.scale": np.array(self.policy.reward_scale, np.float32),
            "directions": np.array([1]),
            "mu.weight": np.ascontiguousarray(weights["mu.weight"].T),
            "mu.bias": weights["mu.bias"],
        }
        inputs: Shapes = {"observation": [*SEQUENCE, size], "action": [*SEQUENCE, width], "reward": [*SEQUENCE, 1]}
        inputs |= {"done": [*SEQUENCE, 1], "hidden": [1, "batch", hidden]}
        outputs: Shapes = {"next_hidden": [1, "batch", hidden]}
        nodes = [
            node("Mul", ["observation", "observation.scale"], ["observation.scaled"]),
            node("Mul", ["reward", "reward.scale"], ["reward.scaled"]),
            node("Concat", ["observation.scaled", "action.seen", "reward.scaled", "done"], ["gru.X"], axis=-1),
            node(
                "GRU",
                ["gru.X", "gru.W", "gru.R", "gru.B", "", "hidden"],
                ["gru.Y", "next_hidden"],
                hidden_size=hidden,
                linear_before_reset=1,
            ),
            node("Squeeze", ["gru.Y", "directions"], ["states"]),
            node("MatMul", ["states", "mu.weight"], ["states.product"]),
            node("Add", ["states.product", "mu.bias"], ["outputs"]),
        ]
        if isinstance(actions, NumpyGaussian):
            actions = actions if self.units is None else actions.translated(*self.units)
            seeing, ends = _boxed(node)
            box = {UNIT: actions.unit, CENTRE: actions.middle, "low": actions.low, "high": actions.high}
            box["sigma"] = actions.log_std + np.log(actions.unit)
            constants |= {name: np.asarray(numbers, np.float32) for name, numbers in box.items()}
            return Graph([*seeing, *nodes, *ends], constants, inputs, _normal(width) | outputs)
        ends = [node("Identity", ["outputs"], ["logits"])]
        seeing = [node("Identity", ["action"], ["action.seen"])]
        return Graph([*seeing, *nodes, *ends], constants, inputs, _logits(width, *SEQUENCE) | outputs)


def _boxed(node: MakeNode) -> tuple[list[Any], list[Any]]:
    """From the last action to what the network sees of it, and from its outputs to the next one's distribution."""
    seeing = [
        node("Max", ["action", "low"], ["action.above"]),
        node("Min", ["action.above", "high"], ["action.inside"]),
        node("Sub", ["action.inside", CENTRE], ["action.centred"]),
        node("Div", ["action.centred", UNIT], ["action.seen"]),
    ]
    return seeing, [*_scaled(node, "outputs", "mean"), node("Identity", ["sigma"], ["log_std"])]


def _scaled(node: MakeNode, units: str, action: str) -> list[Any]:
    """From units to the environment's actions."""
    return [node("Mul", [units, UNIT], [f"{units}.scaled"]), node("Add", [f"{units}.scaled", CENTRE], [action])]


def _normal(width: int) -> Shapes:
    return {"mean": [*SEQUENCE, width], "log_std": [width]}


def _logits(width: int, *batch: str) -> Shapes:
    return {"logits": [*batch, width]}


def _zrh(gates: np.ndarray) -> np.ndarray:
    """ONNX's order of the gates, of PyTorch's: reset, update, new."""
    reset, update, new = np.split(gates, 3)
    return np.concatenate([update, reset, new])
