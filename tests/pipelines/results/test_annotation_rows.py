from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from example_run import ASTRONAUT, person_row

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.reconstruction import rebuild_mode
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.pipelines.results.annotation_rows import annotation_npz, common_folder
from hierprob3d.transforms.datasets.annotation_file import AnnotationDataset
from hierprob3d.transforms.evaluation.evaluation_models import visibility_rule
from hierprob3d.transforms.inputs.items import picture_item


def test_what_is_written_is_read_back(body: Body, tmp_path: Path) -> None:
    row = person_row(picture_item(ASTRONAUT), 0, body)
    folder = common_folder([ASTRONAUT, str(Path(ASTRONAUT).parents[1] / "elsewhere" / "x.png")])
    assert folder == str(Path(ASTRONAUT).parents[1])
    path = tmp_path / "annotations.npz"
    path.write_bytes(annotation_npz([row], ["neutral"], [0.0], folder))
    config = EvaluateConfig(
        dataset="npz", data=str(path), images=folder, output=str(tmp_path), keypoints="file"
    )
    rule = visibility_rule(config)
    dataset = AnnotationDataset(str(path), folder, config.rules, rule, None)
    item = dataset.load(0)
    rotmats = rotvec_to_rotmat(torch.from_numpy(item.pose).view(1, 24, 3))
    betas = torch.from_numpy(item.betas)[None]
    vertices, _ = body(betas, rotmats[:, 1:], rotmats[:, 0])
    seen = half_turn_x(rebuild_mode([row], body)[0])
    # Pelvis rotations turn about the pelvis, the camera's turn about the origin.
    shift = (seen - vertices).mean(1, keepdim=True)
    torch.testing.assert_close(vertices + shift, seen, atol=1e-4, rtol=0)
    # Keypoints in the crop, of 256 px: the row's joints through its camera.
    cx, cy, side = row["crop"]
    keypoints = np.reshape(row["keypoints"], (17, 3))[:, :2]
    expected = (keypoints - [cx - side / 2, cy - side / 2]) * 256 / side
    np.testing.assert_allclose(item.joints2d, expected, atol=1.0)


def test_numbers_of_a_file_are_those_of_its_rows(body: Body) -> None:
    rows = [person_row(picture_item(ASTRONAUT), index, body) for index in range(2)]
    labels = np.load(io.BytesIO(annotation_npz(rows, ["female", "male"], [0.0, 1.0], "")))
    assert labels["gender"].tolist() == ["f", "m"] and labels["part"].shape == (2, 24, 3)
    assert (labels["part"][0].any(-1).sum(), labels["part"][1].any()) == (17, False)  # no guesses
    assert (labels["part"][:, 12:19] == 0).all()  # joints that COCO does not have
