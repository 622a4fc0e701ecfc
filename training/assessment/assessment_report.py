"""An assessment as Markdown: tables ready for the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES

from .assessment import BEST_OF, CONDITIONS, JOINT_GROUPS, MOST_HIDDEN
from .headline import REGIONS
from .person_metrics import ALIGNED_METRICS, METRICS, NUM_DRAWS, of_refined

_ACCURACY = {
    **{name: f"{name}, mm" for name in METRICS},
    **{f"naive-{name}": f"{name}, naive, mm" for name in ALIGNED_METRICS},
    **{of_refined(name): f"{name}, refined, mm" for name in METRICS},
    "joints2D-L2E": "keypoints of the mode, px",
    of_refined("joints2D-L2E"): "keypoints of the refined body, px",
    "joints2Dsamples-L2E": "seen keypoints of samples, px",
    "pose-NLL": "NLL of the true pose, nats per joint",
    "shape-NLL": "NLL of the true shape, nats per coefficient",
    "global-NLL": "NLL of the true global rotation, nats",
}
_KEYPOINTS = {
    "share": "share of keypoints, %",
    "mode_px": "mode to truth, px",
    "sample_px": "samples to truth, px",
    "sample_spread_mm": "samples to their mean in 3D, mm",
}
_NONE = "–"

Records = dict[str, dict[str, Any]]


def assessment_markdown(records: Records) -> str:
    """Tables of accuracy, best of N, keypoints and calibration; a column for each condition.

    Args:
        records: as of `assessment.assess`.
    """
    tables = (
        ("Accuracy", _accuracy_rows(records)),
        ("Best of N hypotheses", _best_of_rows(records)),
        ("Keypoints by visibility", _keypoint_rows(records)),
        (f"Truths inside the {_regions()} regions, %", _calibration_rows(records)),
        ("The same, joint by joint", _rows_by_joint(records)),
    )
    parts = [_legend(), *(f"### {title}\n\n{_table_of_conditions(rows)}" for title, rows in tables)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 1, factor: float = 1) -> str:
    """A cell's text; a dash where there is no number."""
    return _NONE if value is None else f"{factor * value:.{digits}f}"


def _table_of_conditions(rows: list[list[str]]) -> str:
    return table(["", *(condition.name for condition in CONDITIONS)], rows)


def _legend() -> str:
    return (
        "Millimetres; pixels of the 256 px crop. *Detector errors*: keypoints have the errors and "
        "losses of training. *In full view*: no keypoint outside the picture, at most "
        f"{MOST_HIDDEN} of 17 hidden. *Naive*: always the mean training pose and shape. "
        "*Refined*: moved onto the keypoints given (`predict --refine`). Of N "
        "hypotheses the first is the mode. Regions hold their share of the predicted "
        f"distribution, the densest first; ranks among {NUM_DRAWS} draws."
    )


def _regions() -> str:
    return " / ".join(f"{100 * region:.0f}" for region in REGIONS) + " %"


def _accuracy_rows(records: Records) -> list[list[str]]:
    rows = [["people", *(str(records[condition.name]["people"]) for condition in CONDITIONS)]]
    for name, label in _ACCURACY.items():
        cells = _cells(records, "metrics", name)
        if any(cell is not None for cell in cells):  # not every network has global-NLL
            digits = 2 if "NLL" in name else 1
            rows.append([label, *(number(cell, digits) for cell in cells)])
    return rows


def _best_of_rows(records: Records) -> list[list[str]]:
    return [
        [
            f"{name}, N = {count}",
            *(number(cell) for cell in _cells(records, "best_of", name, str(count))),
        ]
        for name in ALIGNED_METRICS
        for count in BEST_OF
    ]


def _keypoint_rows(records: Records) -> list[list[str]]:
    rows = []
    for place in ("visible", "hidden", "outside"):
        for name, label in _KEYPOINTS.items():
            factor = 100 if name == "share" else 1
            cells = _cells(records, "keypoints", place, name)
            rows.append([f"{place}: {label}", *(number(c, factor=factor) for c in cells)])
    return rows


def _calibration_rows(records: Records) -> list[list[str]]:
    rows = [["all body joints", *_shares(records, "pose")]]
    rows += [[group, *_shares(records, "pose_by_group", group)] for group in JOINT_GROUPS]
    if any(_cells(records, "inside", "global_rotation")):
        rows.append(["global rotation", *_shares(records, "global_rotation")])
    rows.append(["shape, each coefficient", *_shares(records, "shape")])
    rows.append(["shape, all together", *_shares(records, "shape_together")])
    return rows


def _rows_by_joint(records: Records) -> list[list[str]]:
    return [[name, *_shares(records, "pose_by_joint", name)] for name in BODY_JOINT_NAMES]


def _shares(records: Records, *path: str) -> list[str]:
    """Cells such as `49 / 81 / 95`."""
    return [
        _NONE if shares is None else " / ".join(f"{100 * share:.0f}" for share in shares)
        for shares in _cells(records, "inside", *path)
    ]


def _cells(records: Records, *path: str) -> list[Any]:
    """What lies at a path of each condition's record; None where it is not."""
    cells = []
    for condition in CONDITIONS:
        value: Any = records[condition.name]
        for name in path:
            value = value.get(name) if value is not None else None
        cells.append(value)
    return cells
