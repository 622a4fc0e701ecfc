"""The package as others get it: built, installed into an environment of its own, and run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = (
    "configs", "model", "pipelines", "training", "transforms", "src", "tests",
    "CHANGELOG.md", "LICENSE", "MANIFEST.in", "NOTICE", "README.md", "constraints.txt",
    "pyproject.toml", "setup.py",
)  # fmt: skip
ROOMS = ("configs", "model", "pipelines", "training", "transforms")
PERSON = REPOSITORY / "model" / "assets" / "demo" / "astronaut.png"
NUM_PICTURES = 3
NAMESAKES = ("model.py", "logging.py", "json.py", "numpy.py", "torch.py", "apache_beam.py",
             "model/__init__.py", "configs/__init__.py", "pipelines/__init__.py",
             "transforms/__init__.py")  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads: builds leave files behind."""
    folder = tmp_path_factory.mktemp("sources")
    leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=leave_out)
        else:
            shutil.copy(source, folder / name)
    return folder


def build(kind: str, sources: Path, folder: Path) -> Path:
    """An sdist or wheel, made as pip makes it but with the packages that are installed here."""
    script = f"from setuptools.build_meta import build_{kind} as b; b({str(folder)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=sources, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def sdist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", sources, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and the packages that it needs on its path."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = packages_of(folder)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet",
         "--disable-pip-version-check", "--no-deps", "--no-index", "--ignore-installed", wheel],
        check=True,
    )  # fmt: skip
    # A line of a .pth file adds a folder without what .pth files there would add, such as this
    # repository.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def packages_of(environment: Path) -> Path:
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


def wheel_content(wheel: Path) -> dict[str, int]:
    """Check sum of every file by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.CRC for item in archive.infolist()}


def asset_files() -> list[str]:
    """Bundled files that are no modules, below `hierprob3d/`."""
    return [
        str(path.relative_to(REPOSITORY))
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]


def test_wheel_and_sdist_hold_every_asset_once(wheel: Path, sdist: Path) -> None:
    assert len(asset_files()) > 20
    with tarfile.open(sdist) as archive:
        files = [item.name.split("/", 1)[1] for item in archive.getmembers() if not item.isdir()]
    # By the end of the name: a second copy under another folder is what must not be.
    for asset in asset_files():
        assert [name for name in files if name.endswith(asset)] == [f"src/hierprob3d/{asset}"]
        assert [name for name in wheel_content(wheel) if name.endswith(asset)] == [
            f"hierprob3d/{asset}"
        ]
    assert not [name for name in files if name.startswith("tests/")]
    assert {"LICENSE", "NOTICE", "CHANGELOG.md"} < set(files)


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "wheel").mkdir()
    rebuilt = build("wheel", unpacked, tmp_path / "wheel")
    assert wheel_content(rebuilt) == wheel_content(wheel)


def test_only_hierprob3d_is_installed(environment: Path) -> None:
    names = {path.name.partition("-")[0] for path in packages_of(environment).iterdir()}
    assert names - {"others.pth"} == {"hierprob3d"}
    assert (packages_of(environment) / "hierprob3d" / "py.typed").is_file()


@pytest.fixture
def folder_of_namesakes(tmp_path: Path) -> Path:
    """A user's folder: pictures, and modules that have the names of ours and of libraries."""
    for name in NAMESAKES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise RuntimeError('this is not the module you are looking for')\n")
    (tmp_path / "hierprob3d").mkdir()
    (tmp_path / "pictures").mkdir()
    with Image.open(PERSON) as picture:
        small = picture.convert("RGB").resize((128, 128))
    for number in range(NUM_PICTURES):
        small.save(tmp_path / "pictures" / f"{number}.jpg")
    return tmp_path


def test_predict_in_a_folder_of_namesakes(environment: Path, folder_of_namesakes: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    program = environment / "bin" / "hierprob3d"
    done = subprocess.run(
        [program, "predict", "pictures", "--output", "out", "--num-samples", "2",
         "--direct_running_mode", "multi_processing", "--direct_num_workers", "1"],
        cwd=folder_of_namesakes, env=variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    statuses = pq.read_table(folder_of_namesakes / "out" / "frames")["status"].to_pylist()
    assert statuses == ["ok"] * NUM_PICTURES
    as_module = [environment / "bin" / "python", "-m", "hierprob3d", "inspect", "out"]
    subprocess.run(as_module, cwd=folder_of_namesakes, env=variables, check=True)


def test_the_library_annotates_an_array_where_it_is_installed(environment: Path) -> None:
    script = (
        "import hierprob3d, numpy, sys; from PIL import Image;"
        "picture = numpy.asarray(Image.open(sys.argv[1]).convert('RGB'));"
        "(person,) = hierprob3d.Annotator().annotate(picture);"
        "print(hierprob3d.__version__, person['pose_mode'].shape, hierprob3d.__file__)"
    )
    words = [environment / "bin" / "python", "-I", "-c", script, PERSON]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    version, *shape, file = done.stdout.split()
    assert f"hierprob3d-{version}.dist-info" in os.listdir(packages_of(environment))
    assert " ".join(shape) == "(23, 3, 3)"
    assert Path(file).is_relative_to(environment)
