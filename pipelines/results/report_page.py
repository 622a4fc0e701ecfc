"""The HTML of a report: one page without scripts, links or files of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from hierprob3d.model.picture.drawing import FULL_SPREAD_M, SPREAD_RAMP

from .report_pictures import HEIGHT, PersonPicture
from .run_summary import JointSpread, RunRecord, RunSummary

NO_INFORMATION_DEG = 120.0
"""Angular spread of the uniform distribution over rotations."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2430; background: #fff; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { max-width: 46rem; margin: .4rem 0; } .quiet { color: #667; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.tile { background: #f2f4f8; border-radius: .5rem; padding: .6rem 1.1rem; }
.tile b { display: block; font-size: 1.5rem; font-weight: 600; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; }
td, th { padding: .2rem .9rem .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { position: relative; width: 16rem; height: .8rem; background: #eef1f5; margin-top: .35rem; }
.bar i { position: absolute; top: 0; bottom: 0; background: #7d9cc9; }
.bar u { position: absolute; top: 0; bottom: 0; width: 2px; background: #1d3a6b; }
figure { margin: 1rem 0; } figure img { height: 18rem; max-width: 100%; object-fit: contain; }
figcaption { color: #445; overflow-wrap: anywhere; }
.ramp { display: inline-block; width: 10rem; height: .8rem; vertical-align: middle; }
"""
# Nothing may be loaded from anywhere, whatever a file name or message tries.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(folder: str, summary: RunSummary, pictures: Sequence[PersonPicture]) -> str:
    """The whole page.

    Args:
        folder: what the user called the run's folder.
        summary: its numbers.
        pictures: people to show.
    """
    parts = [
        f"<h1>People found by HierProb3D</h1><p class=quiet>{escape(folder)}</p>",
        _tiles(summary),
        _people_section(pictures),
        _spread_section(summary.joint_spreads),
        _errors_section(summary),
        _warnings_section(summary),
        *(_run_section(run) for run in summary.runs),
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name=viewport content="width=device-width">'
        f"<title>HierProb3D: {escape(folder)}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _tiles(summary: RunSummary) -> str:
    counts = summary.status_counts
    numbers: list[tuple[object, str]] = [
        (summary.num_items, "pictures and frames"),
        (summary.num_people, "people"),
        (counts["ok"], "with people"),
        (counts["no_person"], "without people"),
        (counts["failed"], "failed"),
    ]
    tiles = "".join(f"<div class=tile><b>{number}</b>{name}</div>" for number, name in numbers)
    note = ""
    if summary.num_unfinished_parts:
        note = (
            f"<p>{summary.num_unfinished_parts} parts of unfinished work are not counted: the run "
            "was stopped or still goes on. Starting it again completes them.</p>"
        )
    return f"<div class=tiles>{tiles}</div>{note}"


def _people_section(pictures: Sequence[PersonPicture]) -> str:
    if not pictures:
        return "<h2>People</h2><p>No pictures of people were asked for, or nobody was found.</p>"
    colours = ",".join(f"rgb({','.join(str(round(255 * c)) for c in rgb)})" for rgb in SPREAD_RAMP)
    legend = (
        f'<span class=ramp style="background:linear-gradient(90deg,{colours})"></span>'
        f" {FULL_SPREAD_M * 100:.0f} cm or more"
    )
    text = (
        "<h2>People</h2><p>A choice, from the surest to the least sure. From left to right: the "
        "part of the picture that was looked at, with the keypoints found (orange: left side of "
        "the body, blue: right side); the most probable body drawn over it; where the run refined "
        "bodies, the one moved onto the keypoints; the last of these from the front and turned by "
        "a quarter. Colours tell how far each point of the body is from "
        f"its mean over bodies drawn from the result, that is how unsure it is: 0 {legend}.</p>"
    )
    return text + "".join(_figure(picture) for picture in pictures)


def _figure(picture: PersonPicture) -> str:
    row = picture.row
    where = row["uri"]
    if row["frame_index"] is not None:
        where += f", frame {row['frame_index']}"
        where += "" if row["time_s"] is None else f" ({row['time_s']:.2f} s)"
    facts = [f"person {row['person_index']}"]
    facts += _fact(row, "bbox_score", "detector {:.2f}")
    facts.append(f"mean joint spread {picture.mean_spread_deg:.0f}°")
    facts += _fact(row, "reprojection_px", "{:.1f} px from the keypoints")
    facts += _fact(row, "refined_reprojection_px", "refined {:.1f} px")
    facts += _height(row)
    if not picture.photograph_found:
        facts.append("the picture itself was not found any more")
    return (
        f'<figure><img src="{picture.data_uri}" height={HEIGHT} alt="person and body">'
        f"<figcaption>{escape(where)}<br>{escape(', '.join(facts))}</figcaption></figure>"
    )


def _fact(row: dict[str, Any], column: str, text: str) -> list[str]:
    return [] if row.get(column) is None else [text.format(row[column])]


def _height(row: dict[str, Any]) -> list[str]:
    if row.get("height_m") is None or row.get("height_std_m") is None:
        return []
    return [f"height {row['height_m']:.2f} ± {row['height_std_m']:.2f} m"]


def _spread_section(spreads: Sequence[JointSpread]) -> str:
    if not spreads:
        return ""
    text = (
        "<h2>How sure of each joint</h2><p>Angular spread of a joint's rotation: about how far, in "
        "degrees, it may be turned away from the most probable rotation. "
        f"{NO_INFORMATION_DEG:.0f}° means that nothing is known. Bars run from the surest to the "
        "least sure tenth of all people, the line marks the middle.</p>"
    )
    rows = (
        [spread.name.replace("_", " "), *(f"{value:.0f}°" for value in _values(spread)),
         _Raw(_range_bar(spread))]
        for spread in spreads
    )  # fmt: skip
    return text + _table(["joint", "10 %", "median", "90 %", ""], rows, numbers={1, 2, 3})


def _values(spread: JointSpread) -> tuple[float, float, float]:
    return spread.tenth, spread.median, spread.ninetieth


def _range_bar(spread: JointSpread) -> str:
    low, middle, high = (100 * min(v / NO_INFORMATION_DEG, 1.0) for v in _values(spread))
    return (
        f'<div class=bar><i style="left:{low:.1f}%;width:{max(high - low, 0.5):.1f}%"></i>'
        f'<u style="left:{middle:.1f}%"></u></div>'
    )


def _errors_section(summary: RunSummary) -> str:
    if not summary.errors:
        return "<h2>Errors</h2><p>None.</p>"
    most = max(group.count for group in summary.errors)
    rows = (
        [group.stage, group.error, str(group.count), _Raw(_length_bar(group.count / most)),
         f"{group.uri}: {group.message}"]
        for group in summary.errors
    )  # fmt: skip
    text = "<h2>Errors by stage</h2><p>What failed, and the first example of each kind.</p>"
    return text + _table(["stage", "kind", "number", "", "first example"], rows, numbers={2})


def _warnings_section(summary: RunSummary) -> str:
    if not summary.warnings:
        return ""
    rows = ([group.warning, str(group.count), group.uri] for group in summary.warnings)
    text = "<h2>Warnings</h2><p>What to know of pictures and frames that could be used.</p>"
    return text + _table(["warning", "number", "first example"], rows, numbers={1})


def _run_section(run: RunRecord) -> str:
    facts = escape(", ".join([run.state, *run.facts]))
    text = f"<h2>Run {escape(run.run_id)}</h2><p>{facts}.</p>{_provenance(run)}"
    total = sum(run.stage_seconds.values())
    if not total:
        return text
    rows = (
        [stage, f"{seconds:.1f} s", f"{seconds / total:.0%}", _Raw(_length_bar(seconds / total))]
        for stage, seconds in run.stage_seconds.items()
    )
    return text + _table(["stage", "time", "share", ""], rows, numbers={1, 2})


def _provenance(run: RunRecord) -> str:
    """The model files and versions of a run, small."""
    lines = [
        f"{role}: " + ", ".join(f"{key} {value}" for key, value in found.items())
        for role, found in run.manifest.get("model_files", {}).items()
    ]
    versions = run.manifest.get("versions", {})
    if versions:
        lines.append("versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    return "".join(f"<p class=quiet>{escape(line)}</p>" for line in lines)


def _length_bar(share: float) -> str:
    return f'<div class=bar><i style="left:0;width:{100 * share:.1f}%"></i></div>'


class _Raw(str):
    """Text that is HTML already."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    """A table; cells are escaped unless `_Raw`, the columns in `numbers` stand to the right."""
    return f"<table>{''.join(_table_rows(head, rows, numbers))}</table>"


def _table_rows(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]
) -> Iterator[str]:
    for tag, cells in [("th", head), *(("td", row) for row in rows)]:
        texts = [cell if isinstance(cell, _Raw) else escape(cell) for cell in cells]
        marks = [" class=number" if index in numbers else "" for index in range(len(texts))]
        shown = (f"<{tag}{m}>{text}</{tag}>" for m, text in zip(marks, texts, strict=True))
        yield f"<tr>{''.join(shown)}</tr>"
