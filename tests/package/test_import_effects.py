"""Importing the library changes nothing of the process that imports it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "hierprob3d"
ROOMS = ("configs", "model", "pipelines", "training", "transforms")

SCRIPT = """
import importlib, json, logging, os, signal, sys, threading, warnings

def state():
    import PIL.Image, torch
    loggers = {None: logging.getLogger(), **logging.root.manager.loggerDict}
    return {
        "Pillow's limit": PIL.Image.MAX_IMAGE_PIXELS,
        "Pillow's truncated files": sys.modules["PIL.ImageFile"].LOAD_TRUNCATED_IMAGES,
        "loggers": {
            str(name): (logger.level, [*map(repr, logger.handlers)], [*map(repr, logger.filters)])
            for name, logger in loggers.items() if isinstance(logger, logging.Logger)
            and (name is None or name.split(".")[0] in ("apache_beam", "PIL", "torch"))
        },
        "disabled logging": logging.root.manager.disable,
        "warnings": [*map(repr, warnings.filters)],
        "environment": dict(os.environ),
        "threads of torch": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "default type": str(torch.get_default_dtype()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "signals": {str(kind): repr(signal.getsignal(kind)) for kind in signal.valid_signals()},
        "hooks": [repr(sys.excepthook), repr(threading.excepthook), repr(sys.unraisablehook)],
        "path": list(sys.path),
        "folder": os.getcwd(),
        "recursion": sys.getrecursionlimit(),
        "random numbers": torch.random.get_rng_state().sum().item(),
    }

others, ours = json.loads(sys.argv[1])
for name, parts in others.items():
    module = importlib.import_module(name)
    for part in parts:
        if not hasattr(module, part):
            importlib.import_module(f"{name}.{part}")
before = state()
for name in ours:
    importlib.import_module(name)
after = state()
changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
assert not changed, changed
"""


def module_files() -> list[Path]:
    """Every module of ours."""
    rooms = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    return sorted([*rooms, *PACKAGE.glob("*.py")])


def module_name(file: Path) -> str:
    """Its name for an import."""
    below = file.relative_to(PACKAGE if file.parent == PACKAGE else REPOSITORY)
    return ".".join(("hierprob3d", *below.with_suffix("").parts)).removesuffix(".__init__")


def imported_at_once(files: list[Path]) -> dict[str, set[str]]:
    """What modules import from others while they are imported themselves: names by their module."""
    names: dict[str, set[str]] = {"PIL.Image": set(), "PIL.ImageFile": set()}
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names.setdefault(alias.name, set())
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return {name: parts for name, parts in names.items() if name.split(".")[0] != "hierprob3d"}


def test_importing_every_module_changes_nothing_of_the_process() -> None:
    files = module_files()
    assert len(files) > 150
    others = {name: sorted(parts) for name, parts in imported_at_once(files).items()}
    modules = json.dumps([others, [module_name(file) for file in files]])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, modules], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
