"""Per-frame .npy files under the names that the original's evaluation gives them."""

from __future__ import annotations

import io

import numpy as np

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.transforms.evaluation.totals import column_values
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.rows import concatenate
from hierprob3d.transforms.tables.schema import STATUS_OK

_PREDICTION = ("global_rotmat", "pose_mode", "shape_mean", "camera")


def write_per_frame_files(store: OutputFolder, config: EvaluateConfig) -> None:
    """Writes <metric>_per_frame.npy of each metric without samples, and of the predictions.

    Rows stand in the order of the dataset, those that failed are left out: fname_per_frame.npy
    has their names, pose (N, 24, 3, 3), shape (N, 10) and cam (N, 3) the modes. Lengths are in
    metres, as the original's.
    """
    metrics = [name for name in config.metric_names if "samples" not in name]
    columns = ["uri", "frame_index", "status", *metrics, *_PREDICTION]
    tables = [store.read_part(name, columns) for name in store.parts("frames")]
    if not tables:
        return
    table = concatenate(tables, tables[0].schema).sort_by("frame_index")
    table = table.filter([status == STATUS_OK for status in table["status"].to_pylist()])
    arrays = {name: column_values(table[name])[:, 0] for name in metrics}
    rotmat, pose, shape, camera = (column_values(table[name]) for name in _PREDICTION)
    arrays |= {
        "fname": np.array(table["uri"].to_pylist(), dtype=str),
        "pose": np.concatenate([rotmat, pose], axis=1).reshape(-1, NUM_JOINTS, 3, 3),
        "shape": shape,
        "cam": camera,
    }
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        store.write(f"{name}_per_frame.npy", buffer.getvalue())
