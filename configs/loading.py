"""From YAML files and `name.name=value` words to checked, documented configurations."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config")


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, or holds something else than named settings.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no configuration file {path}")
    try:
        settings = _parse(Path(path).read_text(encoding="utf-8"), f"{path}")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if settings is not None and not isinstance(settings, dict):
        raise ValueError(f"{path} must hold settings of the form `name: value`")
    return settings or {}


def build_config(
    cls: type[Config], layers: Iterable[Mapping[str, Any]], overrides: Iterable[str] = ()
) -> Config:
    """A configuration of the class's defaults, of layers of settings and of overrides, in order.

    Args:
        cls: a dataclass whose fields are numbers, texts, other such dataclasses or tuples of them.
        layers: some of the fields each; in place of the fields of a dataclass with PRESETS may
            stand the name of one.
        overrides: words such as `optimiser.lr=1e-3` or `phases.0.epochs=2`; values are YAML.

    Raises:
        ValueError: a name that the class does not have, a value of another type, or one that the
            class refuses; the message names it.
    """
    values: Any = dataclasses.asdict(cls())  # type: ignore[call-overload]
    for layer in layers:
        values = _merge(cls, values, layer, "")
    for word in overrides:
        name, separator, text = word.partition("=")
        if not separator:
            raise ValueError(f"{word!r} is not of the form name=value")
        values = _merge(cls, values, _nested(name.split("."), _parse(text, f"{word!r}")), "")
    try:
        return typing.cast(Config, _build(cls, values, ""))
    except _NoSetting as error:
        raise ValueError(f"{error}.{_hint(cls, error)}") from None


class _NoSetting(ValueError):
    """A name that the dataclass `cls`, whose settings begin with `prefix`, does not have."""

    def __init__(self, cls: type, prefix: str, key: Any) -> None:
        super().__init__(f"no setting {_join(prefix, key)!r}")
        self.cls, self.prefix, self.key = cls, prefix, str(key)


def _hint(root: type, error: _NoSetting) -> str:
    """The setting that was meant, by its whole name: of that name elsewhere, or of one near it."""
    there = {field.name: _join(error.prefix, field.name) for field in _fields(error.cls)}
    anywhere = dict[str, str]()
    for path in sorted(_setting_names(root), key=lambda path: path.count(".")):
        anywhere.setdefault(path.rpartition(".")[2], path)
    for known, cutoff in ((anywhere, 1.0), (there, 0.6), (anywhere, 0.8)):
        near = difflib.get_close_matches(error.key, list(known), n=1, cutoff=cutoff)
        if near:
            return f" Did you mean {known[near[0]]!r}?"
    return ""


def _setting_names(cls: type, prefix: str = "") -> Iterator[str]:
    """Whole names of all settings of a dataclass; of a list's items those of the first."""
    kinds = typing.get_type_hints(cls)
    for field in _fields(cls):
        name, kind = _join(prefix, field.name), kinds[field.name]
        yield name
        if typing.get_origin(kind) is tuple:
            kind, name = typing.get_args(kind)[0], _join(name, 0)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from _setting_names(kind, name)


def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)


def stored_settings(config: Any) -> dict[str, Any]:
    """All settings of a configuration as a JSON file gives them back."""
    settings: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return settings


def restored(cls: type[Config], stored: Mapping[str, Any]) -> Config:
    """The configuration whose settings were stored as JSON, sets as lists.

    Raises:
        ValueError: a setting that the class does not have or refuses: another version stored it.
    """
    return typing.cast(Config, _build(cls, stored, ""))


def completed(cls: type, stored: dict[str, Any]) -> dict[str, Any]:
    """Settings stored by this or an older version: those it did not know have their defaults.

    Where a setting is no longer known, or its value no longer allowed, they are left as they are.
    """
    try:
        return stored_settings(build_config(cls, [stored]))
    except ValueError:
        return stored


def _parse(text: str, origin: str) -> Any:
    import yaml  # only here: --help goes without

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{origin} is no YAML: {error}") from error


def _nested(names: list[str], value: Any) -> Any:
    for name in reversed(names):
        value = {name: value}
    return value


def _merge(kind: Any, old: Any, new: Any, name: str) -> Any:
    """`old` with what `new` says, both of a kind.

    A mapping with numeric keys changes single items of a list; the name of a preset stands for it.
    """
    if isinstance(new, str) and hasattr(kind, "PRESETS"):
        return _preset(kind, new, name)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        kinds = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        changed = {
            key: _merge(kinds.get(key), old.get(key), new[key], _join(name, key)) for key in new
        }
        return {**old, **changed}
    if isinstance(old, (list, tuple)) and isinstance(new, Mapping):
        items = list(old)
        for key, value in new.items():
            if not str(key).isdigit() or int(key) >= len(items):
                raise ValueError(f"{_join(name, key)!r}: {name} has items 0..{len(items) - 1}")
            item_kind = next(iter(typing.get_args(kind)), None)  # of tuples with items of one kind
            items[int(key)] = _merge(item_kind, items[int(key)], value, _join(name, key))
        return items
    return new


def _preset(kind: Any, preset: str, name: str) -> dict[str, Any]:
    """The settings of a preset of a dataclass."""
    if preset not in kind.PRESETS:
        raise ValueError(f"{name} must be settings or one of {list(kind.PRESETS)}, got {preset!r}")
    return dataclasses.asdict(kind.PRESETS[preset])


def _build(kind: Any, value: Any, name: str) -> Any:
    """`value` as an instance of `kind`."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, name)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{name} must be a list, got {value!r}")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) != len(value):
            raise ValueError(f"{name} must have {len(arguments)} items, got {len(value)}")
        items = zip(arguments, value, strict=True)
        return tuple(_build(k, v, _join(name, i)) for i, (k, v) in enumerate(items))
    if origin is frozenset:
        return frozenset(_build(arguments[0], item, name) for item in value)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _build(arguments[0], value, name)
    return _build_plain(kind, value, name)


def _build_dataclass(cls: type, value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a mapping, got {value!r}")
    kinds = typing.get_type_hints(cls)
    fields = {field.name for field in dataclasses.fields(cls)}
    for key in value:
        if key not in fields:
            raise _NoSetting(cls, name, key)
    return cls(**{key: _build(kinds[key], item, _join(name, key)) for key, item in value.items()})


def _build_plain(kind: Any, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except ValueError:
            pass
    if type(value) is not kind:
        raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)
