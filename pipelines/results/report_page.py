"""The HTML of a report: one page that needs nothing else, its template, style and scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from markupsafe import Markup

from hierprob3d.model.picture.drawing import FULL_SPREAD_M, SPREAD_RAMP
from hierprob3d.pipelines.command.wording import counted

from .histograms import Histogram, histogram
from .person_table import MEASURES, PersonTable
from .report_pictures import STEP_M, Gallery, GalleryPerson, base64_text
from .run_summary import RunSummary
from .track_timeline import VideoTimeline, track_key

NO_INFORMATION_DEG = 120.0
"""Angular spread of the uniform distribution over rotations."""

_ASSETS = "hierprob3d.pipelines.results"
_SCRIPTS = ("page/viewer.js", "page/gallery.js")


@dataclass(frozen=True)
class FailedItem:
    """A picture or frame that failed, for the gallery."""

    uri: str
    frame_index: int | None
    stage: str
    error: str
    message: str
    time_s: float | None
    """Of the frame; None of a picture."""


@dataclass(frozen=True)
class ReportContent:
    """All that a page shows."""

    folder: str
    """What the user called the run's folder."""
    summary: RunSummary
    table: PersonTable
    gallery: Gallery
    failed: Sequence[FailedItem]
    """Some of those that failed."""
    tracks: dict[tuple[str, int], int]
    """Track by item id and person index, of the people of the gallery."""
    timelines: Sequence[VideoTimeline]
    num_tracked_videos: int


@dataclass(frozen=True)
class _Card:
    """One person or failure of the gallery, as the template shows it."""

    kind: str
    """`person`, or the class of the error."""
    name: str
    where: str
    facts: str
    uri: str
    person: int | None = None
    """Number of the meshes."""
    picture: str = ""
    values: tuple[tuple[str, str], ...] = ()
    """Numbers to sort and filter by, and time."""
    track: str = ""


def page(content: ReportContent) -> str:
    """The whole page."""
    script = Markup("\n".join(_asset(name) for name in _SCRIPTS))  # our own files
    cards = [*_person_cards(content), *map(_failed_card, content.failed)]
    return _template().render(
        content=content,
        summary=content.summary,
        style=Markup(_asset("page/report.css")),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        cards=cards,
        kinds=sorted({card.kind for card in cards} - {"person"}),
        videos=sorted({card.uri for card in cards if "time" in dict(card.values)}),
        measures=MEASURES,
        histograms=_histograms(content.table),
        ramp=_ramp(),
        full_spread_cm=round(FULL_SPREAD_M * 100),
        no_information=NO_INFORMATION_DEG,
        meshes=_script_json(_meshes(content.gallery)),
    )


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined  # only here: other commands do not wait for it

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["counted"] = counted
    environment.filters["name_of"] = lambda uri: PurePosixPath(uri).name or uri
    return environment.from_string(_asset("page/report.html.j2"))


def _asset(name: str) -> str:
    return files(_ASSETS).joinpath(name).read_text("utf-8")


def _histograms(table: PersonTable) -> list[Histogram]:
    found = (histogram(measure, table.measures[measure.key]) for measure in MEASURES)
    return [one for one in found if one is not None]


def _ramp() -> str:
    """The colours of spreads, as CSS writes them."""
    return ",".join(f"rgb({','.join(str(round(255 * c)) for c in rgb)})" for rgb in SPREAD_RAMP)


def _meshes(gallery: Gallery) -> dict[str, Any]:
    """What the viewer needs: faces of each body, and of each person its meshes and spread."""
    return {
        "step": STEP_M,
        "ramp": [list(rgb) for rgb in SPREAD_RAMP],
        "faces": [base64_text(faces.astype("<u2").tobytes()) for faces in gallery.faces],
        "people": [
            {
                "body": person.body,
                "count": len(person.meshes),
                "meshes": base64_text(person.meshes.astype("<i2").tobytes()),
                "spread": "" if person.spread is None else base64_text(person.spread.tobytes()),
            }
            for person in gallery.people
        ],
    }


def _script_json(value: Any) -> Markup:
    """JSON that no text in it ends."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _person_cards(content: ReportContent) -> Iterable[_Card]:
    for place, person in enumerate(content.gallery.people):
        row = person.row
        track = content.tracks.get((row["item_id"], row["person_index"]))
        yield _Card(
            kind="person",
            name=_name(row),
            where=_where(row),
            facts=", ".join(_facts(content.table, person, track)),
            uri=row["uri"],
            person=place,
            picture=person.data_uri,
            values=tuple(_values(content.table, person)),
            track="" if track is None else track_key(row["uri"], track),
        )


def _values(table: PersonTable, person: GalleryPerson) -> Iterable[tuple[str, str]]:
    for measure in MEASURES:
        value = table.measures[measure.key][person.number]
        if math.isfinite(value):
            yield measure.key, f"{value:.4g}"
    time_s = person.row["time_s"]
    if time_s is not None:
        yield "time", f"{time_s:.3f}"


def _facts(table: PersonTable, person: GalleryPerson, track: int | None) -> Iterable[str]:
    yield f"person {person.row['person_index']}"
    if track is not None:
        yield f"track {track}"
    for measure in MEASURES:
        value = float(table.measures[measure.key][person.number])
        if math.isfinite(value):
            gap = "" if measure.unit in ("", "°") else " "
            yield f"{measure.name} {value:.{measure.decimals}f}{gap}{measure.unit}"
    if not person.photograph_found:
        yield "the picture itself was not found any more"


def _failed_card(failed: FailedItem) -> _Card:
    row = {"uri": failed.uri, "frame_index": failed.frame_index, "time_s": failed.time_s}
    return _Card(
        kind=failed.error,
        name=_name(row),
        where=_where(row),
        facts=f"{failed.stage}: {failed.message}",
        uri=failed.uri,
        values=() if failed.time_s is None else (("time", f"{failed.time_s:.3f}"),),
    )


def _name(row: dict[str, Any]) -> str:
    return PurePosixPath(row["uri"]).name or row["uri"]


def _where(row: dict[str, Any]) -> str:
    """Frame and time of a video's row; empty for a picture."""
    if row["frame_index"] is None:
        return ""
    return f"frame {row['frame_index']}" + (
        "" if row["time_s"] is None else f" ({row['time_s']:.2f} s)"
    )
