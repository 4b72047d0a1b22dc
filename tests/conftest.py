"""Shapes and types of every annotated function are checked while testing; compiled programs are kept between runs."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import yaml
from jaxtyping import install_import_hook

ROOT = Path(__file__).parent.parent

# Kept open for the whole session: modules are checked when they are first imported.
install_import_hook("mime", "beartype.beartype").__enter__()

# Tracing makes many objects and few cycles: looking for those as often as usual takes a seventh of the time.
gc.set_threshold(200_000, 50, 100)
# Code that is generated in half the time, and runs more slowly.
QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_TO_COMPILE}".strip()
# Whatever the number of cores here.
os.environ["PJRT_NPROC"] = "16"
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "xla"))
# Compiling takes most of the time of these small programs, running them almost none.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


@pytest.fixture(scope="module", autouse=True)
def _only_this_files_programs():
    """What is compiled for one file's tests does not fill the memory of the next one's."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def shared_learners():
    """Runs of one configuration in this process share their learner, and so what is compiled."""
    from mime.runs import setup  # not before the import hook

    original, first = setup.set_up, {}

    def shared(experiment, seed, *resources, like=None, **source):
        # Of these keys learners know nothing.
        alone = {"num_batches": 1, "checkpoint_every": 1, "pictures_every": 1}
        alike = repr((experiment.model_copy(update=alone), resources))
        if like is None:
            like = first.get(alike)
        ready = original(experiment, seed, *resources, like=like, **source)
        if ready.sampler is None or ready.sampler.compiled:  # No workers, which end with a run.
            first.setdefault(alike, ready)
        return ready

    with pytest.MonkeyPatch.context() as patch:
        for name in ("training", "testing", "rendering", "trained", "exporting"):
            patch.setattr(f"mime.runs.{name}.set_up", shared)
        yield


@pytest.fixture(scope="session")
def environment_variables(tmp_path_factory):
    """Of commands: compiled programs, as little optimised as here, are cached in a folder of this test session."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    return os.environ | {"XDG_CACHE_HOME": str(cache), "COLUMNS": "200", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}


@pytest.fixture(scope="session")
def command(environment_variables):
    """Starts `train.py` or `test.py` with arguments, and by default waits for its end."""

    started = []

    def start(script, *arguments, wait=True, before=()):
        process = subprocess.Popen(
            [*before, sys.executable, str(ROOT / script), *map(str, arguments)],
            env=environment_variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            started.append(process)
            return process
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def no_signal_ignored():
    """Whoever started the tests with nohup has SIGHUP ignored, and with them what they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def small_yaml(tmp_path):
    """The small experiment as a file."""
    from tests.small_runs import SMALL  # not before the import hook

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path
