"""One self-contained page of a prediction run: people to sort and turn, histograms, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import torch

from hierprob3d.configs.run_results import ReportConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.results.person_table import person_table
from hierprob3d.pipelines.results.report_page import FailedItem, ReportContent, page
from hierprob3d.pipelines.results.report_pictures import Gallery, gallery
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.pipelines.results.run_summary import summarise
from hierprob3d.pipelines.results.track_timeline import timelines
from hierprob3d.transforms.inputs.uris import absolute, filesystem

DEFAULT_NAME = "report.html"
_MAX_FAILED = 60
"""Failures that the gallery shows, of each class of error as many as of another."""


def run(config: ReportConfig) -> int:
    """Writes the page; 0.

    Raises:
        UsageError: The folder is no prediction run, or its body model is not there.
        OSError: The page cannot be written.
    """
    torch.set_num_threads(1)  # pictures are small: threads cost more, ten times so on busy machines
    output = config.output or f"{config.folder.rstrip('/')}/{DEFAULT_NAME}"
    folder = RunFolder(config.folder)
    fs, path = filesystem(absolute(output))
    content = _content(folder, config)
    fs.pipe_file(path, page(content).encode("utf-8", errors="replace"))
    num_people, num_shown = len(content.table), len(content.gallery.people)
    shown = "all" if num_shown == num_people else f"{num_shown} (--people) of them"
    print(f"{output}: {counted(content.summary.num_items, 'item')}, {people(num_people)}, "
          f"{shown} shown")  # fmt: skip
    return EXIT_DONE


def _content(folder: RunFolder, config: ReportConfig) -> ReportContent:
    table = person_table(folder)
    shown = gallery(
        folder, table, config.people, config.body_model, _progress(min(config.people, len(table)))
    )
    lines, num_tracked = timelines(folder)
    return ReportContent(
        folder=config.folder,
        summary=summarise(folder, table.joint_spreads),
        table=table,
        gallery=shown,
        failed=_failed(folder),
        tracks=_tracks_of(folder, shown) if num_tracked else {},
        timelines=lines,
        num_tracked_videos=num_tracked,
    )


def _progress(total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done} of {people(total)} drawn", end=end, file=sys.stderr, flush=True)

    return tell


def _failed(folder: RunFolder) -> list[FailedItem]:
    """The first failures of every class of error."""
    errors = folder.errors()
    kinds = pc.unique(errors["error"]).to_pylist()
    each = max(1, _MAX_FAILED // max(1, len(kinds)))
    first = [errors.filter(pc.equal(errors["error"], kind))[:each] for kind in kinds[:_MAX_FAILED]]
    chosen = pa.concat_tables([errors[:0], *first])
    failed, times = chosen["item_id"].combine_chunks(), dict[str, float | None]()
    for _, frames in folder.parts_of("frames", ["item_id", "time_s"]) if len(chosen) else ():
        frames = frames.filter(pc.is_in(frames["item_id"], failed))
        pairs = zip(*(frames[name].to_pylist() for name in ("item_id", "time_s")), strict=True)
        times.update(pairs)
    columns = ["uri", "frame_index", "stage", "error", "message"]
    return [
        FailedItem(**row, time_s=times.get(item_id))
        for row, item_id in zip(
            chosen.select(columns).to_pylist(), chosen["item_id"].to_pylist(), strict=True
        )
    ]


def _tracks_of(folder: RunFolder, shown: Gallery) -> dict[tuple[str, int], int]:
    wanted = {(person.row["item_id"], person.row["person_index"]) for person in shown.people}
    return {key: track for key, track in folder.track_ids().items() if key in wanted}
