"""Options derived from the documented fields of a configuration, on the command line and in YAML.

On argparse, not tyro: that took more than twice as long for `predict --help`, said of a wrong word
in a box of a dozen lines what is one here, and has no place for YAML by option names and for Beam's
options beside ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_origin, get_type_hints

from hierprob3d.configs.checks import nearest
from hierprob3d.configs.loading import read_settings
from hierprob3d.configs.option import Shortcut
from hierprob3d.configs.option_fields import OptionField, option_fields

from .usage import OneLineParser, UsageError, known_name, option_actions

Config = TypeVar("Config")

CONFIG_FILE = "config"
"""Name of the option that names a YAML file, where the configuration has none of this name."""

_SPELLINGS = "_spellings"
"""Attribute of the parsed options: how each was written, and whether only implied."""


def add_options(parser: argparse.ArgumentParser, *classes: type) -> None:
    """Declares the options of configurations; one that is not given leaves no trace."""
    groups: dict[str, Any] = {"": parser}
    for field in (field for cls in classes for field in option_fields(cls)):
        heading = "" if field.is_required or field.option.positional else field.heading
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        _add_field(groups[heading], field)
    if _has_config_file(classes[0]):
        text = "File with options by name; the command line wins"
        parser.add_argument(
            f"--{CONFIG_FILE}", metavar="YAML", default=argparse.SUPPRESS, help=text
        )


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
        values = {**_read_yaml(values[CONFIG_FILE], cls), **values}
    missing = [
        _with_metavar(field)
        for field in option_fields(cls)
        if field.is_required and not field.is_list and values.get(field.name) in (None, "")
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

    def __init__(self, field: OptionField, shortcut: Shortcut | None = None, **details: Any):
        super().__init__(default=argparse.SUPPRESS, **details)
        self.field, self.shortcut = field, shortcut

    def __call__(self, parser: Any, namespace: Any, values: Any, name: str | None = None) -> None:
        """Notes the value and how it was written."""
        value = self.const if self.nargs == 0 else values
        name = name or self.field.option_name
        if self.shortcut is not None:
            value = self.shortcut.value.format(value)
            for other, implied in self.shortcut.implies:
                _set_once(namespace, other, implied, name, is_implied=True)
        if self.field.is_list:
            self._add_items(namespace, value)
        else:
            _set_once(namespace, self.dest, value, name)

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
    names = [field.name] if option.positional else [field.option_name, *option.also]
    dest = {} if option.positional else {"dest": field.name}
    details = {"action": _SetField, "field": field, **_value_details(field), **dest}
    group.add_argument(*names, **details, help=field.help.replace("%", "%%"))
    for shortcut in option.shortcuts:
        values = {"type": shortcut.kind, "metavar": shortcut.metavar}
        group.add_argument(
            *shortcut.names, action=_SetField, field=field, dest=field.name, shortcut=shortcut,
            **(values if shortcut.metavar else {"nargs": 0, "const": ""}),
            help=_meaning(field, shortcut),
        )  # fmt: skip


def _value_details(field: OptionField) -> dict[str, Any]:
    """What argparse is told of the values that a field takes."""
    option, size = field.option, field.num_values
    if field.is_switch:
        return {"nargs": 0, "const": field.default is not True}
    if size is not None and not field.is_list:
        return {"nargs": size, "metavar": tuple(field.metavar.split())}
    details: dict[str, Any] = {"type": field.kind, "metavar": field.metavar}
    if option.positional:
        return details | {"nargs": "*" if field.is_list else "?"}
    if size is not None:
        return details | {"nargs": "+"}
    if field.is_list:
        return details | ({} if option.repeated else {"type": _items_of(field.kind)})
    return details | ({"choices": option.choices} if option.choices else {})


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
    return field.metavar if field.option.positional else f"{field.option_name} {field.metavar}"


def _has_config_file(cls: type) -> bool:
    """Whether options may also come from a YAML file: unless `config` is an option itself."""
    return all(field.name != CONFIG_FILE for field in option_fields(cls))


def _build(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """The configuration, with those inside it, of the values of all fields by name."""
    given = dict[str, Any]()
    kinds = get_type_hints(cls)
    for field in fields(cls):  # type: ignore[arg-type]
        kind = kinds[field.name]
        if is_dataclass(kind):
            given[field.name] = _build(kind, values)  # type: ignore[arg-type]
        elif field.name in values:
            value, container = values[field.name], get_origin(kind)
            given[field.name] = container(value) if container in (tuple, frozenset) else value
    return cls(**given)


def _read_yaml(path: str, cls: type) -> dict[str, Any]:
    """Options of a YAML file as the parser would have them from the command line."""
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    add_options(parser, cls)
    try:
        return vars(parser.parse_args(list(_yaml_words(read_settings(path), parser))))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _yaml_words(content: Mapping[Any, Any], parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options of a file as they would stand on the command line; null leaves one out."""
    options = option_actions(parser)
    positional = {action.dest: action for action in parser._actions if not action.option_strings}
    for key, value in sorted(content.items(), key=lambda item: item[0] in positional):
        name = str(key) if key in positional else known_name(f"--{key}", options)
        action = (positional | options).get(name or "")
        if name is None or not isinstance(action, _SetField):
            raise UsageError(f"unknown option {key}.{nearest(f'--{key}', options)}")
        if value is None:
            continue
        is_list = action.field.is_list
        items = value if isinstance(value, list) and is_list else [value]
        if action.nargs == 0:
            wanted, is_right, words = "true or false", isinstance(value, bool), [name] * bool(value)
        elif key in positional:
            wanted = "a path or a list of paths" if is_list else "a path"
            is_right, words = all(isinstance(item, str) for item in items), ["--", *items]
        else:
            wanted = "a single value"
            is_right = not any(isinstance(item, bool | list | Mapping) for item in items)
            words = [f"{name}={item}" for item in items]
        if not is_right:
            raise UsageError(f"{name} must be {wanted}, got {value!r}.")
        yield from words
