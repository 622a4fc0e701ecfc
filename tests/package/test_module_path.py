"""The module path of our processes: the user's folders last, and told to new processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hierprob3d import module_path
from hierprob3d.module_path import child_environment, ordered_path, put_in_order, python_command

LIBRARY = os.path.dirname(os.__file__)
PACKAGES = str(Path(pytest.__file__).parents[1])


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one and on PYTHONPATH, at the head of the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "elsewhere"]))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    return tmp_path


def test_the_users_folders_come_last_and_nothing_is_lost(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = str(user_folder / "elsewhere")
    monkeypatch.setattr(sys, "path", ["", elsewhere, "/own/first", LIBRARY, PACKAGES])
    assert ordered_path() == ["/own/first", LIBRARY, PACKAGES, str(user_folder), elsewhere]
    assert sys.path[0] == ""  # only asked


def test_installed_packages_stay_where_they_are_though_on_pythonpath(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_path.site, "getsitepackages", lambda: [PACKAGES])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([PACKAGES, "."]))
    monkeypatch.setattr(sys, "path", [PACKAGES, str(user_folder), LIBRARY])
    assert ordered_path() == [PACKAGES, LIBRARY, str(user_folder)]


def test_a_current_folder_that_was_removed_is_left_out(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = user_folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["", "src", LIBRARY])
    assert ordered_path() == [LIBRARY]
    os.chdir(user_folder)


def test_put_in_order_holds_for_processes_started_later(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", LIBRARY])
    put_in_order()
    assert sys.path == [LIBRARY, str(user_folder)]
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_a_new_process_has_our_path_and_our_package(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_folder / "json.py").write_text("raise RuntimeError('shadowed')")
    (user_folder / "hierprob3d").mkdir()
    (user_folder / "hierprob3d" / "__init__.py").write_text("raise RuntimeError('shadowed')")
    (user_folder / "only_here.py").write_text(
        "import hierprob3d, json, sys\n"
        "def main(): print(json.dumps([sys.path, hierprob3d.__file__, sys.argv[1:]]))\n"
    )
    monkeypatch.syspath_prepend(str(user_folder))
    environment = {name: value for name, value in os.environ.items()
                   if child_environment().get(name, "") is not None}  # fmt: skip
    words = [*python_command("only_here"), "word"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path, file, arguments = json.loads(done.stdout)
    assert path == ordered_path() and path[-1] == str(user_folder)
    assert Path(file).samefile(Path(module_path.__file__).with_name("__init__.py"))
    assert arguments == ["word"]
