"""What configurations refuse, each with one line that names the option or setting."""

from __future__ import annotations

import difflib
import importlib.util
import math
import re
from collections.abc import Iterable
from typing import Any

from .option_fields import option_fields

RASTERIZERS = ("torch", "pytorch3d")
"""What finds the face that each pixel sees."""

PAINTERS = ("opencv", *RASTERIZERS)
"""What paints surfaces in pictures."""

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check(condition: bool, message: str) -> None:
    """Raise ValueError with the message, as a sentence, unless the condition holds."""
    if not condition:
        raise ValueError(message if message.endswith("?") else message + ".")


def check_at_least(config: Any, lowest: float, *names: str) -> None:
    """Raise ValueError where a value, named as users write it, is lower; None passes."""
    for name in names:
        value = _value(config, name)
        check(value is None or value >= lowest, f"{name} must be at least {lowest}, got {value}")


def check_above_zero(config: Any, *names: str) -> None:
    """Raise ValueError where a value, named as users write it, is no number > 0; None passes."""
    for name in names:
        value = _value(config, name)
        is_right = value is None or 0 < value < math.inf
        check(is_right, f"{name} must be a number above 0, got {value}")


def check_shares(config: Any, *names: str) -> None:
    """Raise ValueError where a value, named as users write it, is no share; None passes."""
    for name in names:
        value = _value(config, name)
        check(value is None or 0 <= value <= 1, f"{name} must lie in 0..1, got {value}")


def check_choices(config: Any) -> None:
    """Raise ValueError where an option with choices, or an item of one, is none of them."""
    for field in option_fields(type(config)):
        value = getattr(config, field.name)
        for item in value if field.is_list else [value]:
            if field.option.choices and item is not None:
                check_one_of(field.option_name, item, field.option.choices)


def check_one_of(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise ValueError where a value is none of the choices; names the nearest."""
    known = [str(choice) for choice in choices]
    check(
        str(value) in known,
        f"{name} must be one of {', '.join(known)}, got {value!r}.{nearest(str(value), known)}",
    )


def check_renderer(
    value: str, name: str = "--renderer", known: Iterable[str] = RASTERIZERS
) -> None:
    """Raise ValueError where a text names none of those known, or one that is not installed."""
    check_one_of(name, value, known)
    check(
        value != "pytorch3d" or importlib.util.find_spec("pytorch3d") is not None,
        f"{name} pytorch3d: the package pytorch3d is not installed (it is built from source, see "
        f"its INSTALL.md); without the option pictures are made without it",
    )


def check_device(value: str, name: str = "--device") -> None:
    """Raise ValueError where a text names no device."""
    check(
        _DEVICE.fullmatch(value) is not None,
        f"{name} must be auto, cpu, cuda or cuda:N, got {value!r}",
    )


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint such as ` Did you mean --seed?`, empty when nothing is near.

    Args:
        name: What was written.
        known: What there is.
        cutoff: Least likeness, 0..1; dashes before a name make no two names alike.
    """
    bare = {word.lstrip("-"): word for word in known}
    near = difflib.get_close_matches(name.lstrip("-"), list(bare), n=1, cutoff=cutoff)
    return f" Did you mean {bare[near[0]]}?" if near else ""


def _value(config: Any, name: str) -> Any:
    """The value behind `--some-name` or `section.some_name`."""
    return getattr(config, name.rpartition(".")[2].lstrip("-").replace("-", "_"))
