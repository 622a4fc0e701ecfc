"""The fields of a configuration as options: names, types, defaults and help, all of the class."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Annotated, Any

from .option import Option


@dataclass(frozen=True, kw_only=True)
class OptionField:
    """A field of a configuration as an option."""

    name: str
    """The field's name."""

    kind: Any
    """Its type: bool, or what one value, or one item of a list, is made of."""

    num_values: int | None
    """How many values belong together, as in a pair; None: one."""

    is_list: bool
    """Whether the field holds any number of items."""

    default: Any
    """MISSING where the field needs a value."""

    option: Option
    owner: type
    """The class that declares it."""

    heading: str

    @property
    def is_switch(self) -> bool:
        """Whether the option stands without a value."""
        return self.kind is bool

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def option_name(self) -> str:
        """Its long spelling; of a positional one the name of its value."""
        if self.option.positional:
            return self.option.metavar
        no = "no-" if self.default is True else ""
        return self.option.name or f"--{no}{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """What stands for the value."""
        if self.option.metavar or self.is_list:
            return self.option.metavar or "LIST"
        return "|".join(self.option.choices) or {int: "N", float: "X"}.get(self.kind, "TEXT")

    @property
    def help(self) -> str:
        """The field's docstring as a command line needs it, with choices and default."""
        text = _docstrings(self.owner)[self.name]
        if not text.endswith("..."):
            text = text.removesuffix(".")
        if text.startswith(("True: ", "False: ")):  # what the switch does
            text = text.partition(": ")[2]
            text = text[0].upper() + text[1:]
        if self.is_list:
            shown = self.option.choices if not self.option.metavar else ()
            return f"{text}: {', '.join(shown)}" if shown else text
        if self.is_switch or not isinstance(self.default, int | float | str):
            return text
        return f"{text} ({self.default:g})" if self.kind is float else f"{text} ({self.default})"


def option_fields(cls: type) -> tuple[OptionField, ...]:
    """The options of a configuration and of those inside it, a subclass's own before its base's."""
    return tuple(_fields(cls, ""))


def _fields(cls: type, heading: str) -> Iterator[OptionField]:
    kinds = typing.get_type_hints(cls, include_extras=True)
    by_name = {field.name: field for field in dataclasses.fields(cls)}
    for owner in cls.__mro__:
        for name in [name for name in vars(owner).get("__annotations__", {}) if name in by_name]:
            kind, option = _unwrapped(kinds[name])
            heading = option.heading or heading
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                yield from _fields(kind, heading)
            else:
                yield _field(by_name[name], kind, option, owner, heading)


def _field(
    field: dataclasses.Field[Any], kind: Any, option: Option, owner: type, heading: str
) -> OptionField:
    is_list = typing.get_origin(kind) is frozenset or Ellipsis in typing.get_args(kind)
    if is_list:
        kind = typing.get_args(kind)[0]
    values = typing.get_args(kind)  # of a tuple
    return OptionField(
        name=field.name, kind=values[0] if values else kind, num_values=len(values) or None,
        is_list=is_list, default=field.default, option=option, owner=owner, heading=heading,
    )  # fmt: skip


def _unwrapped(kind: Any) -> tuple[Any, Option]:
    """A field's type without None, and what its `Annotated` says."""
    option = Option()
    if typing.get_origin(kind) is Annotated:
        kind, option = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind, option


@cache
def _docstrings(cls: type) -> dict[str, str]:
    """The literal below each field of a class, on one line; read from its source for --help."""
    (definition,) = ast.parse(inspect.getsource(cls)).body
    body = definition.body  # type: ignore[attr-defined]
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
