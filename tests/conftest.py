"""Fixtures shared by all tests: where the golden data of the original code lie, if any."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

import tests.shape_checks  # noqa: F401  what checks hierprob3d.model, hence before it

# isort: split
from hierprob3d.model.body.mesh_body import Body, load_body

REPOSITORY = Path(__file__).resolve().parents[1]
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def converted_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks are converted for other engines once per run of all tests, not for the user."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HIERPROB3D_CACHE", str(folder / "cache"))
        yield


NearlyFullDisk = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def nearly_full_disk() -> NearlyFullDisk:
    """Within `nearly_full_disk(n)` every file written takes n bytes only, then says why not."""

    @contextmanager
    def limited(num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


def shared_folder(name: str) -> Path:
    """Folder `name` of the shared data, or a skip that says how to provide it."""
    root = Path(os.environ.get("HIERPROB3D_SHARED", REPOSITORY.parent / "shared"))
    if not (root / name).is_dir():
        pytest.skip(f"shared data '{name}' not found under {root}; set HIERPROB3D_SHARED")
    return root / name


@pytest.fixture(scope="session")
def golden() -> Path:
    """Inputs and outputs of the original code."""
    return shared_folder("golden")


@pytest.fixture(scope="session")
def shared_poses() -> Path:
    """Folder with open_poses_{train,val}.npz."""
    return shared_folder("poses")


@pytest.fixture(scope="session")
def golden_smpl(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the invented SMPL_{NEUTRAL,MALE,FEMALE}.pkl behind the golden data."""
    return _generate(golden / "make_smpl.py", tmp_path_factory.mktemp("smpl"))


@pytest.fixture(scope="session")
def golden_checkpoints(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the seeded network and HRNet checkpoints behind the golden data."""
    return _generate(golden / "make_checkpoints.py", tmp_path_factory.mktemp("checkpoints"))


def _generate(script: Path, folder: Path) -> Path:
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def body() -> Body:
    """OpenBody, neutral; one for all tests, not to be changed."""
    return load_body("open")


@pytest.fixture(scope="session")
def make_inputs(golden: Path) -> ModuleType:
    """The script that made the golden inputs; its functions give them again."""
    spec = importlib.util.spec_from_file_location("make_inputs", golden / "make_inputs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
