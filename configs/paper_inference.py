"""What the paper's pose_shape_cfg.yaml decides where a network is used, not trained.

The paper's run_predict.py and run_evaluate.py read the sections MODEL and DATA; TRAIN and LOSS are
of the training alone and left aside here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .checks import check, nearest
from .loading import read_settings
from .paper_training import PUBLISHED, flat_settings, is_alike
from .proxy_look import ProxyLook

_FIXED = (
    "MODEL.NUM_IN_CHANNELS", "MODEL.DELTA_I", "MODEL.DELTA_I_WEIGHT", "MODEL.NUM_SMPL_BETAS",
    "DATA.PROXY_REP_SIZE",
)  # fmt: skip
"""Settings that the network and its input have no other value of here."""

_NAMES = {
    "DATA.EDGE_NMS": "edge_nms",
    "DATA.EDGE_THRESHOLD": "edge_threshold",
    "DATA.EDGE_GAUSSIAN_STD": "edge_gaussian_std",
    "DATA.EDGE_GAUSSIAN_SIZE": "edge_gaussian_size",
    "DATA.HEATMAP_GAUSSIAN_STD": "heatmap_std",
    "DATA.BBOX_SCALE_FACTOR": "box_scale",
    "DATA.BBOX_THRESHOLD": "detector_threshold",
    "MODEL.NUM_RESNET_LAYERS": "num_layers",
    "MODEL.EMBED_DIM": "embed_dim",
}


@dataclass(frozen=True, kw_only=True)
class ProxySettings(ProxyLook):
    """How pictures of people become the network's input; the defaults are the published ones."""

    box_scale: float = 1.2
    """Enlargement of a person's box before it is cut out."""

    detector_threshold: float | None = None
    """Score that a detected person must exceed; None: the detector's own."""

    num_layers: int | None = None
    """Layers that the network must have; None: those of the weights."""

    embed_dim: int | None = None
    """Width of the embedding that it must have; None: that of the weights."""


def read_proxy_settings(path: str | None) -> ProxySettings:
    """The settings of the paper's YAML file; the published ones where none is given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a name that the paper's code does not have, a value of another type, or one
            that cannot be followed; the message names it.
    """
    if path is None:
        return ProxySettings()
    given = flat_settings(read_settings(path))
    for name, value in given.items():
        _check_setting(path, name, value)
    return ProxySettings(**{_NAMES[name]: given[name] for name in _NAMES if name in given})


def _check_setting(path: str, name: str, value: Any) -> None:
    hint = nearest(repr(name), map(repr, PUBLISHED))
    check(name in PUBLISHED, f"{path}: the paper's code has no setting {name!r}.{hint}")
    published = PUBLISHED[name]
    check(
        is_alike(value, published),
        f"{path}: {name} must be of the kind of {published!r}, got {value!r}",
    )
    check(
        name not in _FIXED or value == published,
        f"{path}: {name} is {published!r} here and cannot be {value!r}",
    )
    if name in ("DATA.EDGE_GAUSSIAN_STD", "DATA.HEATMAP_GAUSSIAN_STD", "DATA.BBOX_SCALE_FACTOR"):
        check(value > 0, f"{path}: {name} must be above 0, got {value!r}")
    if name == "DATA.EDGE_GAUSSIAN_SIZE":
        check(value > 0 and value % 2 == 1, f"{path}: {name} must be odd, got {value!r}")
