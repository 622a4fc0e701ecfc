"""`import hierprob3d`: what it offers, what it costs, and where old names went."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import hierprob3d
from hierprob3d.moved import moved_modules

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
_SECONDS = 0.3
"""It takes 3 ms; a busy machine may take many times as long."""


@pytest.mark.parametrize("name", hierprob3d.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(hierprob3d, name) is not None
    assert name in dir(hierprob3d)


def test_type_checkers_and_python_agree_on_the_names() -> None:
    assert set(hierprob3d.__all__) == {*hierprob3d._HOMES, "__version__"}
    tree = ast.parse(Path(hierprob3d.__file__).read_text())
    for_checkers = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "importlib"
        for alias in node.names
    }
    for name, home in hierprob3d._HOMES.items():
        assert for_checkers[name] == f"hierprob3d.{home}"


def test_importing_is_quick_and_loads_neither_torch_nor_beam() -> None:
    script = (
        "import sys, time; start = time.perf_counter(); import hierprob3d;"
        "seconds = time.perf_counter() - start;"
        f"assert seconds < {_SECONDS}, seconds;"
        "assert not {'torch', 'apache_beam', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Annotater'"):
        hierprob3d.Annotater  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match="No module named 'hierprob3d.nothing'"):
        importlib.import_module("hierprob3d.nothing")


@pytest.mark.parametrize("old", ["model.checkpoints", "pipelines.cli", "configs.predict"])
def test_a_module_that_moved_says_where_it_went(old: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"now in hierprob3d.{moved_modules()[old]}"):
        importlib.import_module(f"hierprob3d.{old}")


def test_a_name_of_a_module_whose_name_a_package_took_says_where_it_went() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"now in hierprob3d\.model\.body\.mesh_body"):
        from hierprob3d.model.body import load_body  # type: ignore[attr-defined]  # noqa: F401


def test_where_modules_went_is_where_they_are_and_what_the_changelog_says() -> None:
    text = CHANGELOG.read_text()
    for old, new in moved_modules().items():
        assert find_spec(f"hierprob3d.{new}") is not None, new
        assert f"| `{old}` | `hierprob3d.{new}` |" in text
