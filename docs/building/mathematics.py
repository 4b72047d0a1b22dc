"""Fenced blocks of LaTeX become MathML when the site is built: no script, nothing to load."""

from typing import Any

from latex2mathml.converter import convert


def on_config(config: Any) -> Any:
    """Teach the Markdown extension of fenced blocks the language `math`, as GitHub knows it."""
    fences = config["mdx_configs"].setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "math", "format": _format})
    return config


def _format(source: str, language: str, css_class: str, options: Any, markdown: Any, **rest: Any) -> str:
    return f'<div class="{css_class}">{convert(source, display="block")}</div>'
