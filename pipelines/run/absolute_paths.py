"""Configurations whose paths are absolute, so that other machines and folders read the same."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from hierprob3d.configs.option_fields import option_fields
from hierprob3d.transforms.inputs.uris import absolute

Config = TypeVar("Config")

_PATHS = frozenset({"PATH", "DIR", "FILE", "DIR|FILE", "open|PATH", "open|DIR"})
"""What stands for the value of options that are paths. Inputs become absolute when they are listed:
only there is it known which of their characters are a pattern's."""

_BUNDLED = "open"
"""Name of the body model that is no path."""


def with_absolute_paths(config: Config) -> Config:
    """The same, with every path absolute and every spelling of a URI the one."""
    names = {field.name for field in option_fields(type(config)) if field.option.metavar in _PATHS}
    return _absolute_below(config, names)


def _absolute_below(config: Config, names: set[str]) -> Config:
    changes = dict[str, Any]()
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changes[field.name] = _absolute_below(value, names)
        elif field.name in names:
            changes[field.name] = _absolute_value(value)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _absolute_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_absolute_value, value))
    return value if value in (None, "", _BUNDLED) else absolute(value)
