"""Shapes and types of every annotated function are checked while testing; compiled programs are kept between runs."""

import os
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

# As the commands do on two cores, whatever the number of cores here.
os.environ["PJRT_NPROC"] = "32"
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "xla"))
# Compiling takes most of the time of these small programs, running them almost none.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture(scope="session")
def environment_variables(tmp_path_factory):
    """Of commands: compiled programs, as little optimised as here, are cached in a folder of this test session."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    return os.environ | {"XDG_CACHE_HOME": str(cache), "COLUMNS": "200", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}


@pytest.fixture
def command(environment_variables):
    """Starts `train.py` or `test.py` with arguments, and by default waits for its end."""

    def start(script, *arguments, wait=True, before=()):
        process = subprocess.Popen(
            [*before, sys.executable, str(ROOT / script), *map(str, arguments)],
            env=environment_variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return start


@pytest.fixture
def small_yaml(tmp_path):
    """The small experiment as a file."""
    from tests.small_runs import SMALL  # not before the import hook

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path
