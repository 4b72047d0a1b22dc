"""Shapes and types of every annotated function are checked while testing."""

from jaxtyping import install_import_hook

# Kept open for the whole session: modules are checked when they are first imported.
install_import_hook("mime", "beartype.beartype").__enter__()
