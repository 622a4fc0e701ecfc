"""Options derived from the documented fields of a configuration, on the command line and in YAML.

On argparse, not tyro: with it `predict --help` took 0.14 s against 0.07 s, a wrong word gave a box
of a dozen lines instead of one, and neither YAML by option names nor Beam's options beside ours
have a place in it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from hierprob3d.configs.checks import nearest
from hierprob3d.configs.option import Shortcut
from hierprob3d.configs.option_fields import OptionField, option_fields

from .usage import OneLineParser, UsageError, option_actions

Config = TypeVar("Config")

CONFIG_FILE = "config"
"""Name of the option that names a YAML file, where the configuration has none of this name."""

_SPELLINGS = "_spellings"
"""Attribute of the parsed options: how each was written, and whether only implied."""


def add_options(parser: argparse.ArgumentParser, *classes: type) -> None:
    """Declares the options of configurations; one that is not given leaves no trace."""
    groups: dict[str, Any] = {"": parser}
    for field in _fields_of(classes):
        heading = "" if field.is_required or field.option.positional else field.heading
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        _add_field(groups[heading], field)
    if _has_config_file(*classes):
        parser.add_argument(
            f"--{CONFIG_FILE}", metavar="YAML", default=argparse.SUPPRESS,
            help="File with options by name; the command line wins",
        )  # fmt: skip


def usage(program: str, cls: type) -> str:
    """The line above --help: what must be given."""
    words = [
        f"[{_with_metavar(field)} ...]" if field.is_list else _with_metavar(field)
        for field in option_fields(cls)
        if field.option.positional or field.is_required
    ]
    return " ".join([program, "[OPTION ...]", *words])


def is_given(cls: type, args: argparse.Namespace) -> bool:
    """Whether the command line has an option of the configuration."""
    return any(field.name in args for field in option_fields(cls))


def config_from(cls: type[Config], args: argparse.Namespace) -> Config:
    """The configuration that command line and YAML file give together.

    Raises:
        UsageError: something needed is missing, or the file does not fit the options.
        ValueError: a value out of range.
    """
    values = dict(vars(args))
    if _has_config_file(cls) and CONFIG_FILE in values:
        values = {**_read_yaml(Path(values[CONFIG_FILE]), cls), **values}
    missing = [
        _with_metavar(field)
        for field in option_fields(cls)
        if field.is_required and not field.is_list and not values.get(field.name)
    ]
    if missing:
        raise UsageError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.")
    for field in option_fields(cls):
        if field.is_required:
            values.setdefault(field.name, ())  # the configuration says what it makes of no items
        if field.option.needs and field.name in values and not values.get(field.option.needs):
            raise UsageError(f"{field.option_name} needs --{field.option.needs}.")
    return _build(cls, values)


class _SetField(argparse.Action):
    """Sets a field once, by one spelling, or item by item where it is a list."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        *,
        field: OptionField,
        shortcut: Shortcut | None = None,
        **details: Any,
    ) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **details)
        self.field, self.shortcut = field, shortcut

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Notes the value and how it was written."""
        value = self.const if self.nargs == 0 else values
        spelling = option_string or self.field.option_name
        if self.shortcut is not None:
            value = self.shortcut.value.format(value)
            for name, implied in self.shortcut.implies:
                _set_once(namespace, name, implied, spelling, is_implied=True)
        if self.field.is_list:
            self._add_items(namespace, value)
        else:
            _set_once(namespace, self.dest, value, spelling)

    def _add_items(self, namespace: argparse.Namespace, value: Any) -> None:
        items = value if isinstance(value, list | tuple) else [value]
        size = self.field.num_values
        if size is not None:
            if len(items) % size:
                raise argparse.ArgumentError(self, f"expected {self.metavar}, got {items[-1]!r}")
            items = [tuple(items[i : i + size]) for i in range(0, len(items), size)]
        earlier = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, tuple(dict.fromkeys((*earlier, *items))))


def _set_once(
    namespace: argparse.Namespace, name: str, value: Any, spelling: str, is_implied: bool = False
) -> None:
    """Sets a value; an error if another spelling has set it, unless one only implied the same."""
    spellings = namespace.__dict__.setdefault(_SPELLINGS, {})
    earlier, was_implied = spellings.setdefault(name, (spelling, is_implied))
    agrees = (is_implied or was_implied) and getattr(namespace, name, value) == value
    if earlier != spelling and not agrees:
        raise argparse.ArgumentError(None, f"{earlier} and {spelling} exclude each other")
    setattr(namespace, name, value)


def _add_field(group: Any, field: OptionField) -> None:
    option = field.option
    shared: dict[str, Any] = {"action": _SetField, "field": field}
    help_text = field.help.replace("%", "%%")
    if option.positional:
        nargs = "*" if field.is_list else "?"
        group.add_argument(
            field.name, **shared, metavar=option.metavar, nargs=nargs, help=help_text
        )
    else:
        shared["dest"] = field.name
        names = (field.option_name, *option.also)
        group.add_argument(*names, **shared, **_value_details(field), help=help_text)
    for shortcut in option.shortcuts:
        details = {"type": shortcut.kind, "metavar": shortcut.metavar}
        group.add_argument(
            *shortcut.names,
            **{**shared, "dest": field.name},
            **(details if shortcut.metavar else {"nargs": 0, "const": ""}),
            shortcut=shortcut,
            help=_meaning(field, shortcut),
        )


def _value_details(field: OptionField) -> dict[str, Any]:
    """What argparse is told of the values that follow a name."""
    option = field.option
    kind = _finite if field.kind is float else field.kind
    if field.is_switch:
        return {"nargs": 0, "const": field.default is not True}
    if field.num_values is not None:
        metavar = option.metavar if field.is_list else tuple(option.metavar.split())
        return {"nargs": "+" if field.is_list else field.num_values, "metavar": metavar}
    if field.is_list:
        return {
            "type": kind if option.repeated else _items_of(field.kind),
            "metavar": option.metavar or "LIST",
        }
    return {"type": kind, **({"choices": option.choices} if option.choices else {}),
            "metavar": option.metavar or None}  # fmt: skip


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_finite.__name__ = "float"  # argparse says `invalid float value`


def _items_of(kind: type) -> Callable[[str], tuple[Any, ...]]:
    """Reads items that are separated by commas."""

    def items(text: str) -> tuple[Any, ...]:
        return tuple(kind(word.strip()) for word in text.split(",") if word.strip())

    items.__name__ = kind.__name__
    return items


def _meaning(field: OptionField, shortcut: Shortcut) -> str:
    """What a shortcut stands for."""
    value = shortcut.value.format(shortcut.metavar)
    if field.option.positional:
        return f"{value} as {field.option_name}"
    implied = [f"--{name.replace('_', '-')} {text} " for name, text in shortcut.implies]
    return f"The same as {''.join(implied)}{field.option_name} {value}"


def _with_metavar(field: OptionField) -> str:
    value = field.option.metavar or "|".join(field.option.choices)
    return value if field.option.positional else f"{field.option_name} {value}"


def _fields_of(classes: Sequence[type]) -> Iterator[OptionField]:
    for cls in classes:
        yield from option_fields(cls)


def _has_config_file(*classes: type) -> bool:
    """Whether options may also come from a YAML file: unless `config` is an option itself."""
    return all(field.name != CONFIG_FILE for field in _fields_of(classes))


def _build(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """The configuration, with those inside it, of the values of all fields by name."""
    given = dict[str, Any]()
    kinds = get_type_hints(cls)
    for field in fields(cls):  # type: ignore[arg-type]
        kind = kinds[field.name]
        if is_dataclass(kind):
            given[field.name] = _build(kind, values)  # type: ignore[arg-type]
        elif field.name in values:
            value = values[field.name]
            given[field.name] = get_origin(kind)(value) if get_origin(kind) in _LISTS else value
    return cls(**given)


_LISTS = (tuple, frozenset)


def _read_yaml(path: Path, cls: type) -> dict[str, Any]:
    """Options of a YAML file as the parser would have them from the command line."""
    import yaml  # only here: --help goes without

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} must hold options by name, such as `num-samples: 50`.")
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    add_options(parser, cls)
    try:
        return vars(parser.parse_args(_yaml_words(content, cls, option_actions(parser))))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _yaml_words(
    content: Mapping[Any, Any], cls: type, actions: Mapping[str, argparse.Action]
) -> list[str]:
    """The options of a file as they would stand on the command line."""
    positional = {f.name: f for f in option_fields(cls) if f.option.positional}
    options, others = list[str](), list[str]()
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name in positional:
            others += _positional_words(name, value, positional[name].is_list)
        else:
            options += _option_words("--" + name.replace("_", "-"), value, actions)
    return [*options, "--", *others] if others else options


def _option_words(name: str, value: Any, actions: Mapping[str, argparse.Action]) -> list[str]:
    """One option; a value of null leaves it out."""
    if name not in actions or name == f"--{CONFIG_FILE}":
        raise UsageError(f"unknown option {name.removeprefix('--')}.{nearest(name, actions)}")
    action = actions[name]
    if value is None:
        return []
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{name} must be true or false, got {value!r}.")
        return [name] if value else []
    is_list = isinstance(action, _SetField) and action.field.is_list
    items = value if is_list and isinstance(value, list) else [value]
    if any(isinstance(item, bool | list | Mapping) for item in items):
        raise UsageError(f"{name} must be a single value, got {value!r}.")
    return [f"{name}={item}" for item in items]


def _positional_words(name: str, value: Any, is_list: bool) -> list[str]:
    words = [value] if isinstance(value, str) else value if is_list else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{name} must be a path{' or a list of paths' * is_list}, got {value!r}.")
    return words
