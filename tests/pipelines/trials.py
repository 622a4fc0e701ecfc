"""The three commands that many machines can do, small, and how their results are compared."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hierprob3d.model.files.safe_pickle import load_pickle
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set
from tests.pipelines.conftest import PEDESTRIANS, copy_person, read_rows

PW3D_SEQUENCE = "downtown_fake_00"


@dataclass(frozen=True)
class Trial:
    """A command but for its --output, one item per shard: so that bits do not depend on batches."""

    words: list[str]
    compare: Callable[[Path, Path], None]
    """Raises AssertionError where two output folders differ."""


def predict_trial(folder: Path, num_pictures: int) -> Trial:
    """Pictures, one of them bad, and frames of a clip."""
    inputs = folder / "in"
    inputs.mkdir()
    for number in range(num_pictures):
        copy_person(inputs / f"{number}.png")
    (inputs / "bad.jpg").write_text("no picture")
    words = ["predict", str(inputs), str(PEDESTRIANS), "--frame-step", "6", "--num-samples", "4",
             "--shard-size", "1"]  # fmt: skip
    return Trial(words, same_tables)


def evaluate_trial(folder: Path, num_rows: int, num_samples: int = 25) -> Trial:
    """Rows of a synthetic set."""
    data = make_evaluation_set(folder / "data", num_rows)
    words = ["evaluate", "--dataset", "synthetic", "--data", str(data), "--num-samples",
             str(num_samples), "--batch-size", "2", "--shard-size", "1",
             "--device", "cpu"]  # fmt: skip
    return Trial(words, same_metrics)


def preprocess_trial(
    folder: Path, golden: Path, golden_smpl: Path, num_sequences: int = 1
) -> Trial:
    """Sequences of 3DPW's layout, of 8 frames each and all of the same pictures."""
    data = copy_pw3d(golden, folder / "3DPW")
    sequences, pictures = data / "sequenceFiles" / "test", data / "imageFiles"
    content = load_pickle(sequences / f"{PW3D_SEQUENCE}.pkl")
    for number in range(1, num_sequences):
        name = f"copy_{number:02}"
        (sequences / f"{name}.pkl").write_bytes(pickle.dumps(content | {"sequence": name}, 2))
        shutil.copytree(pictures / PW3D_SEQUENCE, pictures / name)
    words = ["preprocess-3dpw", "--data", str(data), "--body-model", str(golden_smpl),
             "--shard-size", "1"]  # fmt: skip
    return Trial(words, same_labels)


def copy_pw3d(golden: Path, root: Path) -> Path:
    """The golden sequence in 3DPW's own layout, at that path."""
    source, sequences = golden / "h_pw3d", root / "sequenceFiles" / "test"
    sequences.mkdir(parents=True)
    shutil.copyfile(source / f"{PW3D_SEQUENCE}.pkl", sequences / f"{PW3D_SEQUENCE}.pkl")
    shutil.copytree(source / "imageFiles", root / "imageFiles", copy_function=shutil.copyfile)
    return root


def tables_of(output: Path) -> dict[str, list[dict[str, object]]]:
    """All rows, but for run ids and times."""
    left_out = {"run_id", "seconds"}
    return {
        table: [
            {name: value for name, value in row.items() if name not in left_out}
            for row in read_rows(output, table).to_pylist()
        ]
        for table in ("people", "frames", "errors")
    }


def same_tables(one: Path, other: Path) -> None:
    """All rows of all tables, but for run ids and times."""
    found, expected = tables_of(one), tables_of(other)
    for table, rows in expected.items():
        assert len(found[table]) == len(rows), table
        different = [
            name
            for name in (rows[0] if rows else ())
            if any(a[name] != b[name] for a, b in zip(found[table], rows, strict=True))
        ]
        assert not different


def same_metrics(one: Path, other: Path) -> None:
    """metrics.json but for what it says of the run."""
    found, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    found.pop("run")
    expected.pop("run")
    assert found == expected


def same_labels(one: Path, other: Path) -> None:
    """The joined labels, and the bytes of all crops."""
    found, expected = (np.load(folder / "3dpw_test.npz") for folder in (one, other))
    assert found.files == expected.files
    for key in expected.files:
        np.testing.assert_array_equal(found[key], expected[key])
    crops = [{path.name: path.read_bytes() for path in (folder / "cropped_frames").iterdir()}
             for folder in (one, other)]  # fmt: skip
    assert crops[0] == crops[1]
