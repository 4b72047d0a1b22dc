"""Shapes and types of every annotated function are checked while testing; compiled programs are kept between runs."""

from pathlib import Path

import jax
from jaxtyping import install_import_hook

# Kept open for the whole session: modules are checked when they are first imported.
install_import_hook("mime", "beartype.beartype").__enter__()

jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parent.parent / ".pytest_cache" / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
