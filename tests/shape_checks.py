"""The type checker that tests set on `hierprob3d.model`: what its annotations say of shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which now refuses tensors of other shapes or kinds than it says.

    All other annotations are mypy's business, and what a user may get wrong there is refused by
    the function itself, in words that tests read.
    """
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _is_shape(hint)}
    return beartype(function)


def _is_shape(hint: object) -> bool:
    return "[Tensor," in str(hint) or "jaxtyping" in str(hint)
