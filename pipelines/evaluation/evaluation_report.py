"""An evaluation as Markdown, as a page, and its calibration as a picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hierprob3d.model.picture.lettering import write_text

from .evaluation_summary import printed

CALIBRATION_PICTURE = "calibration.png"

_PWC = "paper's entry on paperswithcode"
PUBLISHED: dict[str, dict[str, tuple[float, str]]] = {
    "3dpw": {
        "MPJPE": (0.0849, _PWC),
        "MPJPE-PA": (0.0536, _PWC),
    },
    "ssp3d": {"PVE-T-SC": (0.0136, _PWC)},
}
"""Published figures of the paper's network, in metres, and where they were read: none that others
only quote. They were not measured here, and their protocol may differ from the one above."""

_SIDE, _MARGIN = 420, 60
_TEXT_SCALE = 0.45
_WHITE, _GREY, _BLACK = (255, 255, 255), (190, 190, 190), (30, 30, 30)
_COLOURS = {"pose": (180, 90, 20), "shape": (40, 120, 230)}

Row = tuple[str, str, str]


def table_rows(record: dict[str, Any]) -> list[Row]:
    """(name, ours, published) of every number that has a row in the table."""
    published = PUBLISHED.get(record["dataset"], {})
    ours = {name: _with_count(name, text, record) for name, text in record["printed"].items()}
    for name, value in (record.get("sample_spread_mm") or {}).items():
        ours[f"sample spread, {name} joints"] = "-" if value is None else f"{value:.2f} mm"
    extra = {
        "sample 2D consistency": _text(record.get("sample_consistency_px"), " px"),
        "NLL of the true pose": _text((record.get("likelihood") or {}).get("pose_nll"), " nat"),
        "NLL of the true shape": _text((record.get("likelihood") or {}).get("shape_nll"), " nat"),
    }
    return [
        (name, value, _published_text(name, published.get(name)))
        for name, value in {**ours, **extra}.items()
    ]


def protocol_lines(record: dict[str, Any]) -> list[str]:
    """What the numbers mean: dataset, rows, weights, and each property of the protocol."""
    protocol = record["protocol"]
    config = record["run"]["config"]
    weights = record["run"]["model_files"]["weights"]["sha256"][:12]
    refined = (
        "in the mode's place, also among the hypotheses, the mode moved onto the confident "
        f"keypoints (--refine, error {config['keypoint_error']})"
    )
    return [
        f"dataset {record['dataset']}, {record['rows_by_status'].get('ok', 0)} of "
        f"{record['rows']} rows, weights SHA-256 {weights}...",
        f"protocol {protocol['name']}: root {protocol['root']}; "
        f"{config['num_samples']} hypotheses, "
        f"{'the mode among them' if protocol['mode_among_samples'] else 'all of them draws'}; "
        f"IoU {protocol['iou']}; {protocol['joint_set']}; {protocol['gender_rule']}; "
        f"2D: {protocol['joints2d']}",
        *([refined] if config["refine"] else []),
    ]


def evaluation_markdown(record: dict[str, Any]) -> str:
    """The evaluation as a Markdown table with the published figures beside ours."""
    lines = [f"# Evaluation on {record['dataset']}", "", *_bullets(protocol_lines(record)), ""]
    lines += ["| metric | this run | published (paper's network) |", "|---|---|---|"]
    lines += [f"| {name} | {ours} | {published} |" for name, ours, published in table_rows(record)]
    if record.get("per_joint_mm"):
        lines += ["", "| joint | MPJPE mm | MPJPE-PA mm |", "|---|---|---|"]
        lines += [f"| {name} | {a:.1f} | {b:.1f} |" for name, a, b in _joint_rows(record)]
    if record.get("calibration"):
        lines += ["", f"![calibration]({CALIBRATION_PICTURE})", "", _calibration_line(record)]
    return "\n".join(lines) + "\n"


def evaluation_page(record: dict[str, Any], picture: bytes | None) -> str:
    """The evaluation as one self-contained HTML page."""
    title = html.escape(f"Evaluation on {record['dataset']}")
    facts = "".join(f"<li>{html.escape(line)}</li>" for line in protocol_lines(record))
    table = _html_table(("metric", "this run", "published (paper's network)"), table_rows(record))
    joints = ""
    if record.get("per_joint_mm"):
        rows = [(name, f"{a:.1f}", f"{b:.1f}") for name, a, b in _joint_rows(record)]
        joints = _html_table(("joint", "MPJPE mm", "MPJPE-PA mm"), rows)
    image = ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        image = f'<p><img alt="calibration" src="data:image/png;base64,{data}"></p>'
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{title}</title><style>"
        "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.3em .8em;"
        "text-align:left}</style></head><body>"
        f"<h1>{title}</h1><ul>{facts}</ul>{table}{joints}{image}</body></html>\n"
    )


def calibration_picture(calibration: dict[str, Any]) -> bytes:
    """PNG of observed over expected coverage; on the diagonal a distribution is calibrated."""
    size = _SIDE + 2 * _MARGIN
    canvas = np.full((size, size, 3), _WHITE, np.uint8)
    for share in np.linspace(0, 1, 5):
        (x, y) = _pixel(share, share)
        cv2.line(canvas, (x, _MARGIN), (x, _MARGIN + _SIDE), _GREY, 1)
        cv2.line(canvas, (_MARGIN, y), (_MARGIN + _SIDE, y), _GREY, 1)
        write_text(canvas, f"{share:.2f}", (x - 15, _MARGIN + _SIDE + 20), _TEXT_SCALE, _BLACK)
        write_text(canvas, f"{share:.2f}", (12, y + 5), _TEXT_SCALE, _BLACK)
    cv2.line(canvas, _pixel(0, 0), _pixel(1, 1), _GREY, 2, cv2.LINE_AA)
    for place, (name, colour) in enumerate(_COLOURS.items()):
        curve = calibration[name]
        points = np.array(
            [_pixel(*p) for p in zip(curve["expected"], curve["observed"], strict=True)]
        )
        cv2.polylines(canvas, [points.astype(np.int32)], False, colour, 2, cv2.LINE_AA)
        label = f"{name}: mean gap {curve['error']:.3f}"
        place_of_label = (_MARGIN + 12, _MARGIN + 22 + 20 * place)
        write_text(canvas, label, place_of_label, _TEXT_SCALE, colour)
    write_text(
        canvas, "expected share", (_MARGIN + _SIDE // 2 - 50, size - 12), _TEXT_SCALE, _BLACK
    )
    write_text(canvas, "observed share", (_MARGIN, _MARGIN - 15), _TEXT_SCALE, _BLACK)
    return bytes(cv2.imencode(".png", canvas)[1])


def _with_count(name: str, text: str, record: dict[str, Any]) -> str:
    """A metric with the number of rows that it is over, where these are not all."""
    count = (record.get("counted_rows") or {}).get(name)
    if count in (None, 0, record["rows_by_status"].get("ok")):
        return text
    return f"{text} ({count} rows)"


def _published_text(name: str, entry: tuple[float, str] | None) -> str:
    return "-" if entry is None else f"{printed(name, entry[0])} ({entry[1]})"


def _text(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f}{unit}"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _joint_rows(record: dict[str, Any]) -> list[tuple[str, float, float]]:
    unaligned, aligned = (record["per_joint_mm"][name] for name in ("MPJPE", "MPJPE-PA"))
    return [(n, unaligned[n], aligned[n]) for n in unaligned if unaligned[n] is not None]


def _calibration_line(record: dict[str, Any]) -> str:
    gaps = {name: record["calibration"][name]["error"] for name in _COLOURS}
    return (
        f"Mean gap between expected and observed coverage: pose {gaps['pose']:.3f}, "
        f"shape {gaps['shape']:.3f} (0 = calibrated)."
    )


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(word)}</th>" for word in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(word)}</td>" for word in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _pixel(expected: float, observed: float) -> tuple[int, int]:
    return round(_MARGIN + expected * _SIDE), round(_MARGIN + (1 - observed) * _SIDE)
