from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from hierprob3d.model.people.mask_rcnn import build_mask_rcnn, load_mask_rcnn


def test_the_architecture_is_the_published_one() -> None:
    network = build_mask_rcnn(0.5)
    # The published file has no running counters: torchvision builds it with frozen statistics.
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    expected = {name for name in theirs if not name.endswith("num_batches_tracked")}
    assert set(network.state_dict()) == expected
    norms = [module for module in network.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert norms and all(norm.eps == 0 for norm in norms)


def test_a_whole_file_is_loaded_and_its_weights_used(tmp_path: Path) -> None:
    state = build_mask_rcnn(0.5).state_dict()
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    network = load_mask_rcnn(path)
    torch.testing.assert_close(
        network.backbone.body.conv1.weight, state["backbone.body.conv1.weight"]
    )
    assert not network.training and not network.roi_heads.has_mask()


def test_other_files_are_refused_in_one_clear_sentence(tmp_path: Path) -> None:
    partial = tmp_path / "partial.pth"
    torch.save({"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7)}, partial)
    with pytest.raises(ValueError, match=r"partial.pth does not hold .* keys missing .*\.$"):
        load_mask_rcnn(partial)
    text = tmp_path / "text.pth"
    text.write_text("not weights")
    with pytest.raises(
        ValueError, match="text.pth is damaged or not a checkpoint|text.pth is not a checkpoint"
    ):
        load_mask_rcnn(text)
    with pytest.raises(FileNotFoundError, match=r"none.pth. Download https://\S+bf2d0c1e.pth and"):
        load_mask_rcnn(tmp_path / "none.pth")


def test_without_network_the_message_says_what_to_download(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(MaskRCNN_ResNet50_FPN_Weights, "get_state_dict", unreachable)
    with pytest.raises(FileNotFoundError, match=r"no route.*Download https://.*--detector-weights"):
        load_mask_rcnn(None)
