"""The paper's own training settings, as its code writes them, in ours.

The paper's run_train.py keeps its settings in a file pose_shape_cfg.yaml with the sections MODEL,
DATA, TRAIN and LOSS.  What they leave open (paths, sizes of sets, no clipping ...) is as in
paper_training.yaml, which is the published run in our own settings.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .checks import check_one_of, nearest
from .loading import build_config, read_settings
from .training import TrainConfig

PAPER_RUN = Path(__file__).with_name("paper_training.yaml")
_SECTIONS = frozenset({"MODEL", "DATA", "TRAIN", "LOSS"})

_SYNTH = "TRAIN.SYNTH_DATA"
_PROXY = f"{_SYNTH}.AUGMENT.PROXY_REP"
_RGB = f"{_SYNTH}.AUGMENT.RGB"

_FIXED: dict[str, Any] = {
    "MODEL.NUM_IN_CHANNELS": 18,
    "MODEL.DELTA_I": True,
    "MODEL.DELTA_I_WEIGHT": 1.0,
    "MODEL.NUM_SMPL_BETAS": 10,
    "DATA.PROXY_REP_SIZE": 256,
    f"{_SYNTH}.CROP_INPUT": True,
    "LOSS.REDUCTION": "mean",
    "LOSS.STAGE1.REDUCTION": "mean",
    "LOSS.STAGE2.REDUCTION": "mean",
}
"""Settings that are part of the method here: another value is refused."""

_WITHOUT_EFFECT: dict[str, Any] = {
    "DATA.BBOX_THRESHOLD": 0.95,
    "TRAIN.PIN_MEMORY": True,
    "TRAIN.NUM_WORKERS": 2,
    "LOSS.SAMPLE_ON_CPU": True,
}
"""Settings that do not decide what is learned here: another value is named in a warning."""

PUBLISHED: dict[str, Any] = {
    **_FIXED,
    **_WITHOUT_EFFECT,
    "MODEL.NUM_RESNET_LAYERS": 18,
    "MODEL.EMBED_DIM": 256,
    "DATA.HEATMAP_GAUSSIAN_STD": 4.0,
    "DATA.EDGE_NMS": True,
    "DATA.EDGE_THRESHOLD": 0.0,
    "DATA.EDGE_GAUSSIAN_STD": 1.0,
    "DATA.EDGE_GAUSSIAN_SIZE": 5,
    "DATA.BBOX_SCALE_FACTOR": 1.2,
    "TRAIN.NUM_EPOCHS": 300,
    "TRAIN.BATCH_SIZE": 72,
    "TRAIN.LR": 1e-4,
    "TRAIN.EPOCHS_PER_SAVE": 5,
    f"{_SYNTH}.FOCAL_LENGTH": 300.0,
    f"{_SYNTH}.MEAN_CAM_T": [0.0, -0.2, 2.5],
    f"{_SYNTH}.AUGMENT.SMPL.SHAPE_STD": 1.25,
    f"{_SYNTH}.AUGMENT.CAM.XY_STD": 0.05,
    f"{_SYNTH}.AUGMENT.CAM.DELTA_Z_RANGE": [-0.5, 0.5],
    f"{_SYNTH}.AUGMENT.BBOX.DELTA_SCALE_RANGE": [-0.3, 0.2],
    f"{_SYNTH}.AUGMENT.BBOX.DELTA_CENTRE_RANGE": [-5, 5],
    f"{_PROXY}.REMOVE_PARTS_CLASSES": list(range(1, 25)),
    f"{_PROXY}.REMOVE_PARTS_PROBS": [
        *[0.1] * 6, *[0.05] * 4, *[0.1] * 4, *[0.05] * 4, *[0.1] * 4, *[0.05] * 2,
    ],
    f"{_PROXY}.REMOVE_APPENDAGE_JOINTS_PROB": 0.5,
    f"{_PROXY}.REMOVE_JOINTS_INDICES": [7, 8, 9, 10, 13, 14, 15, 16],
    f"{_PROXY}.REMOVE_JOINTS_PROB": 0.1,
    f"{_PROXY}.DELTA_J2D_DEV_RANGE": [-6, 6],
    f"{_PROXY}.JOINTS_TO_SWAP": [[5, 6], [11, 12]],
    f"{_PROXY}.JOINTS_SWAP_PROB": 0.1,
    f"{_PROXY}.OCCLUDE_BOX_DIM": 48,
    f"{_PROXY}.OCCLUDE_BOX_PROB": 0.1,
    f"{_PROXY}.OCCLUDE_BOTTOM_PROB": 0.02,
    f"{_PROXY}.OCCLUDE_TOP_PROB": 0.005,
    f"{_PROXY}.OCCLUDE_VERTICAL_PROB": 0.05,
    f"{_PROXY}.EXTREME_CROP_PROB": 0.1,
    f"{_RGB}.LIGHT_LOC_RANGE": [0.05, 3.0],
    f"{_RGB}.LIGHT_AMBIENT_RANGE": [0.4, 0.8],
    f"{_RGB}.LIGHT_DIFFUSE_RANGE": [0.4, 0.8],
    f"{_RGB}.LIGHT_SPECULAR_RANGE": [0.0, 0.5],
    f"{_RGB}.OCCLUDE_BOTTOM_PROB": 0.02,
    f"{_RGB}.OCCLUDE_TOP_PROB": 0.005,
    f"{_RGB}.OCCLUDE_VERTICAL_PROB": 0.05,
    f"{_RGB}.PIXEL_CHANNEL_NOISE": 0.2,
    "LOSS.NUM_SAMPLES": 8,
    "LOSS.STAGE_CHANGE_EPOCH": 66,
    "LOSS.STAGE1.MF_OVERREG": 1.005,
    "LOSS.STAGE1.J2D_LOSS_ON": "means",
    "LOSS.STAGE1.WEIGHTS.POSE": 80.0,
    "LOSS.STAGE1.WEIGHTS.SHAPE": 50.0,
    "LOSS.STAGE1.WEIGHTS.JOINTS2D": 5000.0,
    "LOSS.STAGE1.WEIGHTS.GLOB_ROTMATS": 5000.0,
    "LOSS.STAGE1.WEIGHTS.VERTS3D": 0.0,
    "LOSS.STAGE1.WEIGHTS.JOINTS3D": 0.0,
    "LOSS.STAGE2.MF_OVERREG": 1.005,
    "LOSS.STAGE2.J2D_LOSS_ON": "means+samples",
    "LOSS.STAGE2.WEIGHTS.POSE": 10.0,
    "LOSS.STAGE2.WEIGHTS.SHAPE": 80.0,
    "LOSS.STAGE2.WEIGHTS.JOINTS2D": 30000.0,
    "LOSS.STAGE2.WEIGHTS.GLOB_ROTMATS": 5000.0,
    "LOSS.STAGE2.WEIGHTS.VERTS3D": 5000.0,
    "LOSS.STAGE2.WEIGHTS.JOINTS3D": 5000.0,
}  # fmt: skip
"""Every setting of the paper and its published value."""

_logger = logging.getLogger(__name__)


def load_train_config(
    path: str | Path | None,
    overrides: Iterable[str] = (),
    paper_settings: Mapping[str, str] = MappingProxyType({}),
) -> TrainConfig:
    """The training of a YAML file, ours or the paper's, and of changes to it.

    Args:
        path: YAML with some of the settings; in place of a group of settings that has presets may
            stand the name of one. None: our defaults, or with `paper_settings` the paper's.
        overrides: words such as `optimiser.lr=1e-3` or `phases.0.epochs=2`; values are YAML.
        paper_settings: values by the paper's names, such as TRAIN.LR, written as in Python.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a name that there is not, a value of another type, or one that is refused; the
            message names it, and the file where it stands there.
    """
    settings = {} if path is None else read_settings(path)
    try:
        return _train_config(path, settings, overrides, paper_settings)
    except ValueError as error:
        if path is not None and str(error) == _refusal(path, settings):
            raise ValueError(f"{path}: {error}") from error
        raise


def _refusal(path: str | Path, settings: Mapping[str, Any]) -> str:
    """What is wrong with the settings of a file alone; empty if nothing is."""
    try:
        _train_config(path, settings, (), {})
    except ValueError as error:
        return str(error)
    return ""


def _train_config(
    path: str | Path | None,
    settings: Mapping[str, Any],
    overrides: Iterable[str],
    paper_settings: Mapping[str, str],
) -> TrainConfig:
    """As `load_train_config`, of the file's settings."""
    is_papers = bool(_SECTIONS & settings.keys())
    if not is_papers and not paper_settings:
        return build_config(TrainConfig, [settings], overrides)
    if settings and not is_papers:
        raise ValueError(
            f"{path} holds our settings, not the paper's: change them with name=value, not with "
            f"{next(iter(paper_settings))}"
        )
    changed = {name: _literal(text) for name, text in paper_settings.items()}
    papers = from_paper({**flat_settings(settings), **changed})
    return build_config(TrainConfig, [read_settings(PAPER_RUN), papers], overrides)


def _literal(text: str) -> Any:
    """A value as the paper's code reads it from the command line; tuples are lists."""
    try:
        return _with_lists(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


def _with_lists(value: Any) -> Any:
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


def from_paper(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings, nested and over those of paper_training.yaml, of some of the paper's.

    Args:
        settings: nested as the paper's YAML, or by dotted names; what is not there is as published.

    Raises:
        ValueError: a name that the paper's code does not have, a value of another type, or one
            that this training cannot follow; the message names it.
    """
    paper = _published_with(flat_settings(settings))
    num_epochs = paper["TRAIN.NUM_EPOCHS"]
    first = min(paper["LOSS.STAGE_CHANGE_EPOCH"], num_epochs)
    return {
        "num_layers": paper["MODEL.NUM_RESNET_LAYERS"],
        "embed_dim": paper["MODEL.EMBED_DIM"],
        "epochs_per_checkpoint": paper["TRAIN.EPOCHS_PER_SAVE"],
        "optimiser": {"batch_size": paper["TRAIN.BATCH_SIZE"], "lr": paper["TRAIN.LR"]},
        "phases": {
            0: {"epochs": first, **_stage(paper, "LOSS.STAGE1")},
            1: {"epochs": num_epochs - first, **_stage(paper, "LOSS.STAGE2")},
        },
        "data": {
            "synthesis": {**_camera(paper), **_losses_of_parts(paper), **_light(paper)},
            "keypoint_noise": _keypoint_noise(paper),
            "proxy": {
                "edge_nms": paper["DATA.EDGE_NMS"],
                "edge_threshold": paper["DATA.EDGE_THRESHOLD"],
                "edge_gaussian_std": paper["DATA.EDGE_GAUSSIAN_STD"],
                "edge_gaussian_size": paper["DATA.EDGE_GAUSSIAN_SIZE"],
                "heatmap_std": paper["DATA.HEATMAP_GAUSSIAN_STD"],
            },
        },
    }


def flat_settings(settings: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """The settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{section}.{key}" if section else str(key)
        flat |= flat_settings(value, name) if isinstance(value, Mapping) else {name: value}
    return flat


def _published_with(given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of the paper: those given, checked, and the published others."""
    for name, value in given.items():
        if name not in PUBLISHED:
            hint = nearest(repr(name), map(repr, PUBLISHED))
            raise ValueError(f"the paper's training has no setting {name!r}.{hint}")
        if not is_alike(value, PUBLISHED[name]):
            raise ValueError(f"{name} must be of the kind of {PUBLISHED[name]!r}, got {value!r}")
        if name in _FIXED and value != _FIXED[name]:
            raise ValueError(f"{name} is {_FIXED[name]!r} here and cannot be {value!r}")
        if name in _WITHOUT_EFFECT and value != _WITHOUT_EFFECT[name]:
            _logger.warning("the paper's setting %s has no effect here: %r", name, value)
    return {**PUBLISHED, **given}


def is_alike(value: Any, published: Any) -> bool:
    """Whether a value is of the published one's type; whole numbers pass for others."""
    if isinstance(published, list):
        return isinstance(value, list) and all(is_alike(item, published[0]) for item in value)
    if isinstance(published, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(published)


def _stage(paper: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Loss and samples of a stage."""
    loss_on = paper[f"{stage}.J2D_LOSS_ON"]
    check_one_of(f"{stage}.J2D_LOSS_ON", loss_on, ("means", "samples", "means+samples"))
    weights = f"{stage}.WEIGHTS"
    return {
        "num_samples": paper["LOSS.NUM_SAMPLES"] if "samples" in loss_on else 0,
        "mode_keypoints": "means" in loss_on,
        "loss": {
            "pose": paper[f"{weights}.POSE"],
            "shape": paper[f"{weights}.SHAPE"],
            "joints2d": paper[f"{weights}.JOINTS2D"],
            "global_rotmat": paper[f"{weights}.GLOB_ROTMATS"],
            "vertices": paper[f"{weights}.VERTS3D"],
            "joints3d": paper[f"{weights}.JOINTS3D"],
            "overregularisation": paper[f"{stage}.MF_OVERREG"],
        },
    }


def _camera(paper: Mapping[str, Any]) -> dict[str, Any]:
    """Shape, camera and crop."""
    augment = f"{_SYNTH}.AUGMENT"
    focal_length = paper[f"{_SYNTH}.FOCAL_LENGTH"]
    nearer, farther = _range(paper, f"{augment}.CAM.DELTA_Z_RANGE")
    right, down, away = _place(paper, f"{_SYNTH}.MEAN_CAM_T")
    distance = away + (nearer + farther) / 2
    smaller, larger = _range(paper, f"{augment}.BBOX.DELTA_SCALE_RANGE")
    lowest, highest = _range(paper, f"{augment}.BBOX.DELTA_CENTRE_RANGE")
    if lowest != -highest:
        raise ValueError(f"{augment}.BBOX.DELTA_CENTRE_RANGE must be symmetric about 0 here")
    return {
        "shape_std": paper[f"{augment}.SMPL.SHAPE_STD"],
        "focal_length": [focal_length, focal_length],
        "distance_per_focal": round(distance / focal_length, 9),
        "distance_jitter": round((farther - nearer) / 2 / distance, 9),
        "camera_xy_std": paper[f"{augment}.CAM.XY_STD"],
        "box_scale": round(paper["DATA.BBOX_SCALE_FACTOR"] + (smaller + larger) / 2, 9),
        "box_scale_jitter": round((larger - smaller) / 2, 9),
        "box_centre_jitter": highest,
        "camera_offset": [right, down],
        "picture_size": float(paper["DATA.PROXY_REP_SIZE"]),
        "extreme_crop_probability": paper[f"{_PROXY}.EXTREME_CROP_PROB"],
    }


def _losses_of_parts(paper: Mapping[str, Any]) -> dict[str, Any]:
    """What of the person, or of the picture, is not seen."""
    parts = paper[f"{_PROXY}.REMOVE_PARTS_CLASSES"]
    probabilities = paper[f"{_PROXY}.REMOVE_PARTS_PROBS"]
    if len(parts) != len(probabilities) or not set(parts) <= set(range(1, 25)):
        raise ValueError(
            f"{_PROXY}.REMOVE_PARTS_CLASSES must name parts 1..24, one per probability"
        )
    by_part = dict(zip(parts, probabilities, strict=True))
    halves = {"bottom": "BOTTOM", "top": "TOP", "side": "VERTICAL"}
    return {
        "missing_parts": [by_part.get(part, 0.0) for part in range(1, 25)],
        "missing_part_hides": paper[f"{_PROXY}.REMOVE_APPENDAGE_JOINTS_PROB"],
        "missing_box": paper[f"{_PROXY}.OCCLUDE_BOX_PROB"],
        "missing_box_side": paper[f"{_PROXY}.OCCLUDE_BOX_DIM"],
        "missing_halves": {k: paper[f"{_PROXY}.OCCLUDE_{v}_PROB"] for k, v in halves.items()},
        "black_halves": {k: paper[f"{_RGB}.OCCLUDE_{v}_PROB"] for k, v in halves.items()},
    }


def _light(paper: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "light_distance": _range(paper, f"{_RGB}.LIGHT_LOC_RANGE"),
        "ambient": _range(paper, f"{_RGB}.LIGHT_AMBIENT_RANGE"),
        "diffuse": _range(paper, f"{_RGB}.LIGHT_DIFFUSE_RANGE"),
        "specular": _range(paper, f"{_RGB}.LIGHT_SPECULAR_RANGE"),
        "channel_noise": paper[f"{_RGB}.PIXEL_CHANNEL_NOISE"],
    }


def _keypoint_noise(paper: Mapping[str, Any]) -> dict[str, Any]:
    low, high = _range(paper, f"{_PROXY}.DELTA_J2D_DEV_RANGE")
    if low != -high:
        raise ValueError(f"{_PROXY}.DELTA_J2D_DEV_RANGE must be symmetric about 0 here")
    pairs = [sorted(pair) for pair in paper[f"{_PROXY}.JOINTS_TO_SWAP"]]
    if not all(pair[0] % 2 and pair == [pair[0], pair[0] + 1] for pair in pairs):
        raise ValueError(f"{_PROXY}.JOINTS_TO_SWAP must be pairs of a left and its right keypoint")
    lost = paper[f"{_PROXY}.REMOVE_JOINTS_INDICES"]
    probability = paper[f"{_PROXY}.REMOVE_JOINTS_PROB"]
    return {
        "uniform_range": high,
        "swap_probability": paper[f"{_PROXY}.JOINTS_SWAP_PROB"],
        "swap_groups": [[pair[0]] for pair in pairs],
        "drop_visible": [probability if joint in lost else 0.0 for joint in range(17)],
    }


def _place(paper: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """Metres right, down and away."""
    place = paper[name]
    if len(place) != 3:
        raise ValueError(f"{name} must be a place [x, y, z], got {place!r}")
    return place[0], place[1], place[2]


def _range(paper: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Both ends of a range."""
    ends = paper[name]
    if len(ends) != 2 or ends[0] > ends[1]:
        raise ValueError(f"{name} must be a range [low, high], got {ends!r}")
    return ends[0], ends[1]
