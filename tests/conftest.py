"""Shapes and types written in the library's annotations are checked at run time."""

import jaxtyping

jaxtyping.install_import_hook("mime", "beartype.beartype")
