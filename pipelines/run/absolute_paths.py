"""Paths of configurations: absolute, so that other machines read the same, and there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from typing import Any, TypeVar

from hierprob3d.configs.option_fields import option_fields
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.inputs.uris import absolute, is_remote

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


def check_local_paths(config: Any, made: Collection[str] = ()) -> None:
    """Raise UsageError for a path that an option names and that is not here; stores are not asked.

    Args:
        config: With paths as of `with_absolute_paths`.
        made: Names of fields whose files are made where they are not there.
    """
    for field in option_fields(type(config)):
        if field.option.metavar not in _PATHS or field.name in made:
            continue
        value = _value_below(config, field.name)
        paths = value if isinstance(value, tuple) else (value,)
        for path in paths:
            if path in (None, "", _BUNDLED) or is_remote(path) or os.path.exists(path):
                continue
            raise UsageError(f"{field.option_name} {path}: there is no such file or folder.")


def _value_below(config: Any, name: str) -> Any:
    """Value of a field of a configuration, or of one inside it."""
    if hasattr(config, name):
        return getattr(config, name)
    values = (getattr(config, field.name) for field in dataclasses.fields(config))
    return next(_value_below(v, name) for v in values
                if dataclasses.is_dataclass(v) and hasattr(v, name))  # fmt: skip


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
