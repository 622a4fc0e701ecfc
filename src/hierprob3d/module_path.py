"""The module path of our processes: what is installed first, the user's own folders last.

A user's `model.py`, `logging.py` or `configs/` in the current folder or on PYTHONPATH must not take
the place of a module that we or our libraries import; packages that only those folders have are
still found. New processes are told the path instead of finding one: run as a script, this file takes
the path and a module as arguments and calls that module's `main()`.
"""

from __future__ import annotations

import os
import site
import sys

# Nothing else is imported up here: before `put_in_order` it might come from the current folder.

_PACKAGE = "hierprob3d"
_SAFE_PATH = "PYTHONSAFEPATH"
_command: list[str] = []


def put_in_order() -> None:
    """Orders this process's module path; Python processes that it starts do without a folder's."""
    sys.path[:] = ordered_path()
    os.environ[_SAFE_PATH] = "1"


def ordered_path() -> list[str]:
    """`sys.path`, made absolute, with the user's folders behind what is installed."""
    usable = sys.path if _current_folder() else filter(os.path.isabs, sys.path)
    entries = list(dict.fromkeys(os.path.abspath(entry) for entry in usable))
    users = _users_folders()
    last = [entry for entry in entries if os.path.realpath(entry) in users]
    return [*(entry for entry in entries if entry not in last), *last]


def python_command(module: str) -> list[str]:
    """Words that run `main()` of a module of ours in a new Python process with this path.

    Its environment should have no PYTHONPATH, see `child_environment`: Python would look there
    while it starts.
    """
    import json
    import subprocess

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-P", __file__, json.dumps(ordered_path()), module]


def note_command(module: str) -> None:
    """Keeps that this process runs `main()` of a module of ours, with the words of `sys.argv`."""
    _command[:] = [module, *sys.argv[1:]]


def restart_words() -> list[str]:
    """Words that begin this process's command anew; none where it is no command of ours."""
    return [*python_command(_command[0]), *_command[1:]] if _command else []


def child_environment() -> dict[str, str | None]:
    """Environment variables of Python processes that we start; None: not set."""
    return {_SAFE_PATH: "1", "PYTHONPATH": None}


def _users_folders() -> set[str]:
    """Folders that are on the path for the current folder's sake, the script's or PYTHONPATH's."""
    listed = os.environ.get("PYTHONPATH", "")
    folders = [*_current_folder(), *(listed.split(os.pathsep) if listed else [])]
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and not sys.flags.safe_path:
        folders.append(os.path.dirname(os.path.abspath(script)))
    known = folders if _current_folder() else filter(os.path.isabs, folders)
    return {os.path.realpath(folder) for folder in known if not _is_installed(folder)}


def _current_folder() -> list[str]:
    """The current folder, or nothing where it was removed."""
    try:
        return [os.getcwd()]
    except FileNotFoundError:
        return []


def _is_installed(folder: str) -> bool:
    """Whether a folder holds the standard library or installed packages."""
    library = os.path.realpath(os.path.dirname(os.__file__))
    places = [*site.getsitepackages(), site.getusersitepackages()]
    real = os.path.realpath(folder)
    return (
        real == library
        or real.startswith(library + os.sep)
        or real in {os.path.realpath(place) for place in places}
    )


def _load_package() -> None:
    """Imports the package that this file lies in, whatever else the path may hold under its name."""
    from importlib.util import module_from_spec, spec_from_file_location

    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__init__.py")
    spec = spec_from_file_location(_PACKAGE, file)
    assert spec is not None and spec.loader is not None  # the file has a suffix of Python's
    package = module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    spec.loader.exec_module(package)


def _run(path: str, module: str) -> None:
    """What a new process does: takes the path over and calls the module's `main()`."""
    import importlib
    import json

    sys.path[:] = json.loads(path)
    _load_package()
    importlib.import_module(module).main()


if __name__ == "__main__":
    _, _given_path, _given_module = sys.argv[:3]
    del sys.argv[1:3]
    _run(_given_path, _given_module)
