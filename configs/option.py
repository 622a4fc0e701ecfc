"""How a field of a configuration is written on the command line.

The options of a command are the fields of its configuration: name, type, default and docstring are
those of the field. `Option`, in the field's `Annotated` type, says what these do not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """Another option that sets the field, to one value or to a text made of its own value."""

    names: tuple[str, ...]
    """Its spellings, such as `--gpu`."""

    value: str
    """What the field is set to; `{}` in it is replaced by the value given."""

    metavar: str = ""
    """Stands for the value given, in --help; empty: none is given."""

    kind: type = str
    """Type of the value given."""

    implies: tuple[tuple[str, str], ...] = ()
    """Names and values of other fields that are set with it."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """What name, type, default and docstring of a field do not say."""

    name: str = ""
    """Long spelling; empty: the field's name with dashes, for a switch that is on after `--no-`."""

    also: tuple[str, ...] = ()
    """Further spellings, those of the paper's code."""

    shortcuts: tuple[Shortcut, ...] = ()
    """Other options that set this field."""

    metavar: str = ""
    """Stands for the value in --help; empty: the choices, N for a whole number, X for another."""

    choices: tuple[str, ...] = ()
    """The values allowed."""

    heading: str = ""
    """Heading in --help of this field, or of those of this configuration, and of what follows."""

    positional: bool = False
    """Whether the value stands by itself, without a name."""

    repeated: bool = False
    """Of a list: the option is written once for each item, instead of items with commas."""

    needs: str = ""
    """Name of the switch without which this option changes nothing, and is refused."""


DEVICE = Option(
    metavar="NAME",
    shortcuts=(Shortcut(names=("--gpu",), value="cuda:{}", metavar="N", kind=int),),
)
"""Of every field `device`."""
