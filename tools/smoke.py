"""The built package, installed with given versions of what it needs and tried: `make smoke`.

Builds wheel and sdist, installs the wheel with all extras into a new environment, imports every
module, runs the commands on the bundled photographs and clip, and installs the sdist in the
wheel's place. The environment takes up to 8 GB while it lasts, minutes to install.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.release import REPOSITORY, build

EXTRAS = "train,openvino,heic,http,s3,gcs,plots"
"""All that users may ask for and pip can install: constraints are of these."""
DEMO = REPOSITORY / "model" / "assets" / "demo"

IMPORT_ALL = """
import importlib, pkgutil, hierprob3d
for module in pkgutil.walk_packages(hierprob3d.__path__, "hierprob3d."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*(type(getattr(hierprob3d, name)).__name__ for name in hierprob3d.__all__))
"""

LIBRARY = """
import sys
import hierprob3d, numpy, torch
from PIL import Image
picture = numpy.asarray(Image.open(sys.argv[1]).convert("RGB"))
(person,) = hierprob3d.Annotator().annotate(picture)
poses = hierprob3d.MatrixFisher(torch.as_tensor(person["pose_F"])).sample((50,))
assert poses.shape == (50, 23, 3, 3) and 1.3 < person["height_m"] < 2.2
rows = list(hierprob3d.read_run(sys.argv[2]).rows())
samples, joints = hierprob3d.rebuild_samples(rows[0])
assert torch.isfinite(samples).all() and samples.shape[1:] == (6880, 3)
hierprob3d.plot_person(rows[0])
print(len(rows), "people")
"""

VERSIONS = """
import platform
from importlib.metadata import version
names = ("torch", "numpy", "scipy", "apache-beam", "pyarrow", "onnxruntime", "pillow", "av")
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in names), sep=", ")
"""


def steps(
    environment: Path, archives: list[Path], constraints: Path
) -> Iterator[tuple[str, list[str]]]:
    """What is tried, in this order: a name and a command, all run in one folder."""
    python, program = str(environment / "bin" / "python"), str(environment / "bin" / "hierprob3d")
    photographs = [str(path) for path in sorted(DEMO.glob("*.png"))]
    clip = str(next(DEMO.glob("*.mp4")))
    sdist, wheel = (str(path) for path in archives)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    chosen = ["--only-binary=:all:", "--constraint", str(constraints)]
    again = ["--no-deps", "--force-reinstall"]
    predict = [program, "predict", *photographs]
    workers = ["--direct_running_mode=multi_processing", "--direct_num_workers=1"]
    yield "packages", [*pip, *chosen, f"{wheel}[{EXTRAS}]"]
    yield "wheel", [*pip, *again, wheel]
    yield "every module", [python, "-c", IMPORT_ALL]
    yield "predict", [*predict, "--output", "out", "--visualise", "figure,samples"]
    for engine in ("torch", "openvino"):
        yield f"predict by {engine}", [*predict, "--output", engine, "--engine", engine]
    yield "predict by Beam", [
        program, "predict", clip, "--output", "out", "--frame-step", "10", *workers,
    ]  # fmt: skip
    yield "track", [program, "track", "out"]
    yield "export", [program, "export", "out", "--format", "glb", "--output", "motion"]
    yield "render", [program, "render", "out", "--uri", "*.mp4", "--output", "drawn"]
    yield "report", [program, "report", "out"]
    yield "library", [python, "-c", LIBRARY, photographs[0], "out"]
    yield "sdist", [*pip, *again, sdist]
    yield "inspect", [program, "inspect", "out"]
    yield "versions", [python, "-c", VERSIONS]


def run(name: str, command: list[str], folder: Path) -> None:
    """One step, with a line of how long it took; ends the program with its output if it fails."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    last = done.stdout.strip().splitlines()[-1:] or [""]
    print(f"{name:18} {time.monotonic() - begun:5.0f} s  {last[0][:160]}", flush=True)


def main() -> None:
    """Everything for one interpreter and one file of constraints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter to try it with")
    parser.add_argument("--constraints", type=Path, required=True, help="versions to try it with")
    parser.add_argument("--environment", type=Path, help="folder for it, kept for the next time")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        folder = Path(name)
        archives = build(folder / "dist")
        environment = (words.environment or folder / "environment").resolve()
        subprocess.run([words.python, "-m", "venv", environment], check=True)
        for step, command in steps(environment, archives, words.constraints.resolve()):
            run(step, command, folder)
    print(f"all of it works with {words.constraints}")


if __name__ == "__main__":
    main()
