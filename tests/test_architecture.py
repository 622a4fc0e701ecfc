"""The rooms of the house: which may import which, no circles, one place for one name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "hierprob3d"
MAY_IMPORT = {
    "configs": set[str](),
    "model": {"configs"},
    "transforms": {"configs", "model"},
    "training": {"configs", "model"},
    "pipelines": {"configs", "model", "transforms", "training"},
}
"""Rooms that a room may import besides itself."""

EVERYONES = {"module_path"}
"""Modules outside all rooms that any room may import."""


OTHER_TESTS = ("package", "tools", "oracles", "cluster")
"""Folders of tests that are not of one room."""

SHAPES_REFUSED_IN_WORDS = {"MatrixFisher.__init__"}
"""Functions that refuse wrong shapes themselves, in words that a test reads."""


class Import(NamedTuple):
    """One import of a module of ours."""

    target: str
    """Dotted name without the package's."""

    level: int
    """Dots of a relative import, 0 of an absolute one."""

    line: int


@cache
def modules() -> dict[str, Path]:
    """Every module of the rooms, by its dotted name without the package's."""
    return {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
        for room in MAY_IMPORT
        for path in sorted((REPOSITORY / room).rglob("*.py"))
    }


@cache
def imports_of(name: str) -> list[Import]:
    """Imports of ours in a module, also those inside functions and for type checkers only."""
    tree = ast.parse(modules()[name].read_text())
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            pairs = [(target, node.level) for target in _targets(name, node)]
        else:
            continue
        for target, level in pairs:
            if target.split(".")[0] == PACKAGE:
                found.append(Import(target.partition(".")[2], level, node.lineno))
    return found


def _targets(name: str, node: ast.ImportFrom) -> list[str]:
    """Modules that a `from … import …` imports; a name in one counts as its module."""
    base = node.module or ""
    if node.level:
        is_package = modules()[name].name == "__init__.py"
        parts = [PACKAGE, *name.split(".")]
        parts = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parts, *filter(None, [node.module])])
    below = base.removeprefix(f"{PACKAGE}.")
    return [
        f"{base}.{alias.name}" if f"{below}.{alias.name}" in modules() else base
        for alias in node.names
    ]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room} | EVERYONES
    wrong = [
        f"{modules()[name]}:{found.line} imports {found.target}"
        for name in modules()
        if name.split(".")[0] == room
        for found in imports_of(name)
        if found.target.split(".")[0] not in allowed
    ]
    assert not wrong


def test_the_model_knows_no_beam() -> None:
    wrong = [name for name, path in modules().items()
             if name.split(".")[0] in ("configs", "model", "training")
             and "apache_beam" in path.read_text()]  # fmt: skip
    assert not wrong


def test_public_functions_of_the_model_say_the_shapes_of_their_tensors() -> None:
    """Named tensors (`dict[str, Tensor]`), such as weights, have none to say."""
    silent = []
    for name, path in modules().items():
        if name.startswith("model."):
            for function, hints in public_functions(ast.parse(path.read_text()), ""):
                bare = [re.sub(r"\[Tensor,|\[str, Tensor\]", "", hint) for hint in hints]
                if any(re.search(r"\bTensor\b", hint) for hint in bare):
                    silent.append(f"{name}: {function}")
    assert [
        function for function in silent if function.split()[1] not in SHAPES_REFUSED_IN_WORDS
    ] == []


def public_functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Names of a module's or class's functions, and what their annotations say."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef) and (
            not child.name.startswith("_") or child.name == "__init__"
        ):
            arguments = [*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs]
            hints = [argument.annotation for argument in arguments] + [child.returns]
            yield prefix + child.name, [ast.unparse(hint) for hint in hints if hint]


def test_the_package_does_without_pandas() -> None:
    """Users have it, the package does not ask for it; pyarrow looks for it where it is named."""
    assert [name for name, path in modules().items() if "pandas_dtype" in path.read_text()] == []


def test_no_file_imports_itself_through_others() -> None:
    # Late imports count too: a circle broken by one is a circle still. CycleError names the files.
    graph = {name: {found.target for found in imports_of(name)} - {name} for name in modules()}
    order = list(TopologicalSorter(graph).static_order())
    assert len(order) >= len(modules()) > 150


def test_no_file_name_twice() -> None:
    names = Counter(path.name for path in modules().values() if path.name != "__init__.py")
    assert not [name for name, count in names.items() if count > 1]


def test_imports_are_relative_inside_a_sub_package_and_absolute_across() -> None:
    wrong = []
    for name, path in modules().items():
        for found in imports_of(name):
            target = modules().get(found.target)
            same = target is not None and target.parent == path.parent
            if found.level > 1 or (found.level == 1) != same:
                wrong.append(f"{path}:{found.line} imports {found.target}")
    assert not wrong


def test_every_folder_of_modules_is_a_package_with_a_docstring() -> None:
    for path in modules().values():
        assert (path.parent / "__init__.py").is_file(), path
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_tests_lie_where_the_files_they_test_lie() -> None:
    rooms = {path.relative_to(REPOSITORY).parent for path in modules().values()}
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        folder = path.relative_to(REPOSITORY / "tests").parent
        known = folder in rooms or folder.parts[:1] in (
            (),
            ("package",),
            ("tools",),
            ("oracles",),
            ("cluster",),
        )
        assert known, f"{path}: no folder {folder} to test"


def test_helpers_of_tests_are_imported_by_their_whole_name() -> None:
    """`conftest` alone is whichever folder's came last, so that tests would hang on their order."""
    files = sorted((REPOSITORY / "tests").rglob("*.py"))
    assert [file.name for file in files if "\nfrom conftest import" in file.read_text()] == []
