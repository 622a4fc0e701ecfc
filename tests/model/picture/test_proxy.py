from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.picture.canny import CannyEdgeDetector
from hierprob3d.model.picture.crops import CropFrames
from hierprob3d.model.picture.proxy import (
    PersonCrops,
    make_proxy,
    network_crops,
    person_crops,
    unoccluded_mask,
    visible_mask,
)
from tests.oracles.paper_keypoints import inside_mask


@pytest.fixture(scope="module")
def predicted(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "i_predict.npz"))


@pytest.fixture(scope="module")
def detected(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "i2_detector.npz"))


def _photo(golden: Path, name: str) -> np.ndarray:
    path = golden.parent / "photos" / name
    if not path.is_file():
        pytest.skip(f"shared photograph {path} is absent")
    picture = cv2.imread(str(path))
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _image_keypoints(people: PersonCrops, joints_288: np.ndarray, conf: np.ndarray) -> Tensor:
    """Keypoints (1, 17, 3) in the full picture from those of the 288 x 384 crop."""
    joints = people.frames.points_to_image(torch.from_numpy(joints_288)[None])
    return torch.cat((joints, torch.from_numpy(conf)[None, :, None]), dim=-1)


def _golden_people(arrays: dict[str, np.ndarray], index: int) -> PersonCrops:
    """The original's 288 x 384 crop, where the photograph itself is not at hand."""
    height, width = (int(side) for side in arrays[f"{index}_image_shape"][1:])
    frames = CropFrames.around(torch.tensor([[0.0, 0.0, width, height]]), (288, 384))
    rgb = torch.from_numpy(arrays[f"{index}_hr_crop_f16"].astype(np.float32))[None]
    return PersonCrops(rgb, frames)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_joints_and_crop_of_the_original(predicted: dict[str, np.ndarray], index: int) -> None:
    people = _golden_people(predicted, index)
    joints, confidences = predicted[f"{index}_hr_joints2D"], predicted[f"{index}_hr_conf"]
    crops = network_crops(people, _image_keypoints(people, joints, confidences), threshold=0.75)
    np.testing.assert_allclose(crops.joints2d, predicted[f"{index}_proxy_joints2D"], atol=1e-4)
    np.testing.assert_array_equal(crops.visible[0], predicted[f"{index}_proxy_visible"])
    np.testing.assert_allclose(crops.rgb, predicted[f"{index}_proxy_rgb_f16"], atol=1e-3)
    # Whole pictures are given: 1.2 times the 3:4 box, its height the side of the square.
    side = 1.2 * float(predicted[f"{index}_bbox_height"])
    middle = predicted[f"{index}_bbox_centre"][::-1]
    np.testing.assert_allclose(crops.crop_records, [[*middle, side]], atol=1e-3)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_heatmaps_of_the_original(predicted: dict[str, np.ndarray], index: int) -> None:
    proxy = make_proxy(
        torch.zeros(1, 3, 256, 256),
        torch.from_numpy(predicted[f"{index}_proxy_joints2D"]),
        torch.from_numpy(predicted[f"{index}_proxy_visible"])[None],
    )
    expected = predicted[f"{index}_proxy_heat_every4"]
    np.testing.assert_allclose(proxy[0, 1:, ::4, ::4], expected, atol=1e-6)


@pytest.mark.parametrize(("index", "photo"), [(0, "00002.png"), (2, "00008.png")])
def test_edges_of_the_original_from_the_photograph(
    golden: Path, predicted: dict[str, np.ndarray], index: int, photo: str
) -> None:
    people = person_crops(_photo(golden, photo))
    np.testing.assert_allclose(people.rgb[0], predicted[f"{index}_hr_crop_f16"], atol=1e-3)
    joints, confidences = predicted[f"{index}_hr_joints2D"], predicted[f"{index}_hr_conf"]
    crops = network_crops(people, _image_keypoints(people, joints, confidences))
    difference = np.abs(crops.proxy()[0, 0] - predicted[f"{index}_proxy_edge"])
    # Bit-equal where this was written; elsewhere a tie may fall to the neighbour.
    assert (difference > 5e-6).sum() <= 20


@pytest.mark.parametrize("case", range(7))
def test_crops_of_detected_persons(
    golden: Path, detected: dict[str, np.ndarray], case: int
) -> None:
    (centre_y, centre_x), width = detected[f"{case}_centre"], float(detected[f"{case}_w"])
    # A flat box of the golden width: the 3:4 rule has to find the golden height.
    box = [centre_x - width / 2, centre_y - 10, centre_x + width / 2, centre_y + 10]
    people = person_crops(_photo(golden, "00006.png"), np.array([box]))
    height = float(detected[f"{case}_h"])
    np.testing.assert_allclose(people.frames.sizes / 1.2, [[width, height]], atol=1e-3)
    np.testing.assert_allclose(
        people.rgb[0, :, ::4, ::4], detected[f"{case}_crop_every4"], atol=1e-4
    )
    keypoints = _image_keypoints(people, detected[f"{case}_joints2D"], detected[f"{case}_conf"])
    edges = network_crops(people, keypoints).proxy()[0, 0, ::2, ::2]
    wrong = np.abs(edges - detected[f"{case}_proxy_edge_every2"]) > 5e-6
    assert wrong.sum() <= 20


def test_visibility_rules_of_the_original(golden: Path) -> None:
    arrays = np.load(golden / "d_crop.npz")
    visible = visible_mask(torch.from_numpy(arrays["rule_conf"]), 0.75)
    np.testing.assert_array_equal(visible, arrays["rule_vis"])
    inside = inside_mask(torch.from_numpy(arrays["vis_joints"]), 256)
    np.testing.assert_array_equal(inside, arrays["vis_out"])
    unoccluded = unoccluded_mask(torch.from_numpy(arrays["seg24"]), inside)
    np.testing.assert_array_equal(unoccluded, arrays["vis_occl"])
    np.testing.assert_array_equal(inside, arrays["vis_out"])  # the argument is left alone


def test_face_shoulders_and_hips_are_never_dropped() -> None:
    confidences = torch.zeros(1, 17)
    confidences[0, 9] = 0.3
    confidences[0, 10] = torch.nan
    visible = visible_mask(confidences, threshold=0.3)
    assert visible[0].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 11, 12]
    assert visible_mask(confidences, threshold=0.29)[0, 9]


def test_border_at_size_counts_as_inside() -> None:
    joints = torch.tensor([[0.0, 256.0], [256.01, 3.0], [-0.01, 3.0], [torch.nan, 3.0]])
    assert inside_mask(joints, 256).tolist() == [True, False, False, False]


def test_proxy_layout() -> None:
    rgb = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    joints = torch.full((2, 17, 2), 32.0)
    joints[1, 4] = torch.tensor([10.0, 50.0])
    visible = torch.ones(2, 17, dtype=torch.bool)
    visible[0, 3] = False
    proxy = make_proxy(rgb, joints, visible)
    assert proxy.shape == (2, 18, 64, 64) and proxy.dtype == torch.float32
    assert torch.equal(proxy[:, :1], CannyEdgeDetector(threshold=0.0).edges(rgb))
    assert (proxy[0, 1 + 3] == 0).all()
    assert proxy[1, 1 + 4].argmax() == 50 * 64 + 10


def test_proxy_takes_another_edge_detector() -> None:
    rgb = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    detector = CannyEdgeDetector(non_max_suppression=False, threshold=0.5)
    proxy = make_proxy(rgb, torch.zeros(1, 17, 2), torch.ones(1, 17, dtype=torch.bool), detector)
    assert torch.equal(proxy[:, :1], detector.edges(rgb))


def test_picture_without_boxes_is_one_enlarged_person() -> None:
    # 512 x 512 becomes 3:4 (512 x 682.67) and grows by 1.2, so content fills 160 of 256 px.
    people = person_crops(np.full((512, 512, 3), 255, dtype=np.uint8))
    assert people.rgb.shape == (1, 3, 384, 288)
    crops = network_crops(people, np.zeros((1, 17, 3)))
    content = (crops.rgb[0, 0] > 0.5).nonzero()
    assert (content.amax(dim=0) - content.amin(dim=0) + 1).tolist() == [160, 160]


def test_proxy_crop_has_black_bars_left_and_right() -> None:
    people = person_crops(np.full((400, 400, 3), 200, np.uint8), np.array([[100, 100, 200, 250]]))
    rgb = network_crops(people, np.zeros((1, 17, 3))).rgb[0, 0]
    assert (rgb[:, :32] == 0).all() and (rgb[:, 224:] == 0).all() and (rgb[:, 33:223] > 0.7).all()


def test_crop_record_maps_joints_back_to_the_picture() -> None:
    boxes = np.array([[40.0, 30.0, 140.0, 260.0], [200.0, 10.0, 330.0, 120.0]])
    keypoints = np.random.default_rng(0).uniform(0, 300, (2, 17, 3))
    people = person_crops(np.zeros((300, 400, 3), np.uint8), boxes)
    crops = network_crops(people, keypoints)
    centre, side = crops.crop_records[:, None, :2], crops.crop_records[:, None, 2:]
    back = centre + (crops.joints2d / 256 - 0.5) * side
    np.testing.assert_allclose(back, keypoints[..., :2], atol=1e-2)


def test_a_persons_crop_does_not_depend_on_the_others() -> None:
    image = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    boxes = np.array([[40.2, 30.7, 140.1, 260.3], [200.0, 10.0, 330.0, 120.0], [-50, -50, -20, -9]])
    together = person_crops(image, boxes).rgb
    for box, crop in zip(boxes, together, strict=True):
        assert torch.equal(person_crops(image, box[None]).rgb[0], crop)
    assert (together[2] == 0).all()


@pytest.mark.parametrize("box", [[10, 10, 10, 50], [10, 50, 40, 20], [0, 0, np.nan, 9]])
def test_boxes_without_area_are_refused(box: list[float]) -> None:
    with pytest.raises(ValueError, match="without area"):
        person_crops(np.zeros((60, 60, 3), np.uint8), np.array([[0, 0, 9, 9], box]))


def test_no_boxes_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        person_crops(np.zeros((60, 60, 3), np.uint8), np.zeros((0, 4)))


def test_an_unknown_joint_spoils_its_own_heatmap_only() -> None:
    keypoints = np.full((2, 17, 3), 20.0)
    keypoints[0, 9] = (np.nan, np.nan, 0.0)  # a wrist that was not found
    image = np.zeros((50, 50, 3), np.uint8)
    people = person_crops(image, np.array([[0, 0, 50, 50], [5, 5, 40, 40]]))
    proxy = network_crops(people, keypoints).proxy()
    assert torch.isfinite(proxy).all() and (proxy[0, 1 + 9] == 0).all()
