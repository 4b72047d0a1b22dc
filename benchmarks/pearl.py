"""Updates per second of PEARL, and their share of the machine's speed at multiplying matrices.

python benchmarks/pearl.py [--config configs/pearl/pendulum.yaml] [--scale small] [--updates 20]

Both are measured in turns in the same run, so that whatever else the machine does slows both. Floating-point
operations are counted by hand from the networks' layers: two for each weight and example in a forward pass, the same
again for each of the two products of a backward pass.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from mime.configuration import parsing
from mime.configuration.pearl import PearlExperiment
from mime.pearl.networks import Perceptron
from mime.pearl.sac import Networks
from mime.runs.setup import set_up

SIDE = 2048
ROUNDS = 5


def seconds(function: Callable, *arguments) -> float:
    """Wall time of one call that is compiled already."""
    started = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - started


def operations(experiment: PearlExperiment, networks: Networks) -> float:
    """Floating-point operations of one update.

    Each example passes forwards and backwards (three products) through policy, value network and both critics; once
    more through the critics with the policy's actions, and back to these (two products); and through the target. Each
    transition of the context passes forwards and backwards through the encoder.
    """
    critic, examples = weights(networks.critics[0]), experiment.meta_batch * experiment.batch_size
    value, policy = weights(networks.value), weights(networks.policy)
    contexts = experiment.meta_batch * experiment.embedding_batch_size
    products = examples * (3 * policy + 4 * value + 2 * (3 + 2) * critic)
    return 2.0 * (products + contexts * 3 * weights(networks.encoder.network))


def weights(network: Perceptron) -> int:
    """Weights of a network's matrices."""
    return sum(layer.weight.size for layer in network.layers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/pearl/pendulum.yaml"))
    parser.add_argument("--scale")
    parser.add_argument("--updates", type=int, default=20)
    options = parser.parse_args()
    experiment = parsing.load(options.config, scale=options.scale)
    experiment = experiment.model_copy(update={"num_train_steps_per_itr": options.updates})
    setup, key = set_up(experiment, 0), jax.random.key(0)
    state, _ = jax.jit(setup.learner.collect_initially)(setup.state, setup.sample_tasks(key), key)
    improve, multiply = jax.jit(setup.learner.improve), jax.jit(jnp.matmul)
    matrix = jax.random.normal(key, (SIDE, SIDE))
    compiling = seconds(improve, state, key)
    seconds(multiply, matrix, matrix)
    pairs = [(seconds(improve, state, key), seconds(multiply, matrix, matrix)) for _ in range(ROUNDS)]
    updating, multiplying = (min(times) for times in zip(*pairs))
    rate, peak = options.updates / updating, 2 * SIDE**3 / multiplying
    work = operations(experiment, state.sac.networks)
    print(f"device                  {jax.devices()[0]}")
    print(f"first call              {compiling:.1f} s with compilation, {options.updates} updates")
    print(f"updates                 {rate:.2f} per second, best of {ROUNDS}")
    print(f"operations              {work / 1e9:.3f} GFLOP per update, {work * rate / 1e9:.1f} GFLOP/s")
    print(f"product of {SIDE} x {SIDE}  {peak / 1e9:.1f} GFLOP/s, best of {ROUNDS}")
    print(f"share of it             {work * rate / peak:.0%}")


if __name__ == "__main__":
    main()
