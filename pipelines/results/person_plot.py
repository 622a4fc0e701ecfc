"""A person in one figure of matplotlib, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES, MEASUREMENT_NAMES
from hierprob3d.model.estimate.person_row import PersonRow
from hierprob3d.model.estimate.reconstruction import (
    body_of_rows,
    parameters_of_rows,
    rebuild_mode,
    rebuild_samples,
    with_refined_body,
)
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.picture.drawing import (
    FULL_SPREAD_M,
    SPREAD_RAMP,
    Picture,
    cut_out_crop,
    draw_bodies,
    draw_views,
    plain_colours,
    spread_colours,
)
from hierprob3d.transforms.tables.schema import std_name

from .report_pictures import photograph_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = 360
_GROUND = 238
_NUM_SAMPLES = 24
"""Samples that colours are made from."""


def plot_person(
    row: PersonRow, picture: NDArray[np.uint8] | None = None, body: Body | None = None
) -> Figure:
    """A person of a run in one figure: in the photograph, from two sides, and how sure of what.

        for row in hierprob3d.read_run("out").rows():
            display(hierprob3d.plot_person(row))

    Colours tell how far the vertices of samples lie apart. Of a run with `--refine` the refined
    body is shown.

    Args:
        row: Of `read_run(DIR).rows()`.
        picture: (H, W, 3) uint8 RGB that the person is in; None: what lies at the row's uri, plain
            ground where nothing does.
        body: The body model of the run; None: the one that the row's metadata name.

    Returns:
        A figure that notebooks show, and whose `savefig` writes files.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        ValueError: The body model is not there.
    """
    figure = _new_figure()
    body = body or body_of_rows([row])
    photograph = photograph_of(row) if picture is None else picture
    axes = figure.subplot_mosaic(
        [["over", "views", "joints"], ["over", "views", "size"]],
        width_ratios=[1, 1.5, 1.1], height_ratios=[3, 1],
    )  # fmt: skip
    for name, drawn in zip(("over", "views"), _pictures(row, photograph, body), strict=True):
        axes[name].imshow(drawn)
        axes[name].set_axis_off()
    axes["over"].set_title(str(row["uri"]).rsplit("/", 1)[-1], fontsize=9)
    axes["views"].set_title(f"colour: spread, 0 to {FULL_SPREAD_M * 100:.0f} cm", fontsize=9)
    _plot_joints(axes["joints"], row)
    _write_sizes(axes["size"], row)
    return figure


def _new_figure() -> Figure:
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plots need matplotlib: pip install matplotlib",
            name=error.name,
        ) from error
    figure = pyplot.figure(figsize=(12, 4.6), layout="constrained")
    pyplot.close(figure)  # else notebooks show it twice
    return figure


def _pictures(row: PersonRow, photograph: Picture | None, body: Body) -> Sequence[Picture]:
    """The crop with the body over it, and the body from the front and from its left."""
    shown = with_refined_body(row) if row.get("refined_pose") is not None else row
    with torch.inference_mode():
        mode = rebuild_mode([shown], body)[0]
        colours = plain_colours(mode)
        if row.get("joint_spread_m") is not None:
            num_samples = min(int(row.metadata["num_samples"]), _NUM_SAMPLES)
            colours = spread_colours(sample_spread(rebuild_samples([row], body, num_samples)[0]))
    crop = np.full((_SIZE, _SIZE, 3), _GROUND, np.uint8)
    if photograph is not None:
        crop = cut_out_crop(photograph, row["crop"], _SIZE)
    whole = torch.tensor([[_SIZE / 2, _SIZE / 2, _SIZE]])
    over = draw_bodies(crop, mode, body.faces, parameters_of_rows([shown]).camera, whole, colours)
    views = [draw_views(mode, body.faces, colours, (turn,), _SIZE) for turn in (0.0, 90.0)]
    return over, np.concatenate(views, axis=1)


def _plot_joints(axes: Axes, row: PersonRow) -> None:
    """How sure each joint is, the least sure on top."""
    spreads = np.asarray(row["pose_spread_deg"], dtype=float)
    order = np.argsort(spreads)
    names = [BODY_JOINT_NAMES[joint].replace("_", " ") for joint in order]
    dark = SPREAD_RAMP[2]
    axes.barh(names, spreads[order], color=dark, height=0.7)
    axes.tick_params(labelsize=6, length=0)
    axes.set_xlabel("angular spread, degrees", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _write_sizes(axes: Axes, row: PersonRow) -> None:
    """Measurements with their standard deviations, and the quality."""
    axes.set_axis_off()
    lines = [_measurement(name, row) for name in MEASUREMENT_NAMES]
    quality: Any = row.get("quality")
    if quality is not None:
        lines.append(f"quality {quality:.2f}")
    axes.text(0, 1, "\n".join(filter(None, lines)), va="top", fontsize=8)


def _measurement(name: str, row: PersonRow) -> str:
    value, std = row.get(name), row.get(std_name(name))
    if value is None or std is None:
        return ""
    what, _, unit = name.rpartition("_")
    digits = 0 if unit == "kg" else 2
    return f"{what.replace('_', ' ')} {value:.{digits}f} ± {std:.{digits}f} {unit}"
