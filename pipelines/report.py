"""One self-contained HTML page of a prediction run: counts, people, spreads, errors, times."""

from __future__ import annotations

import sys

import torch

from hierprob3d.configs.run_results import ReportConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.results.recorded_bodies import RecordedBodies
from hierprob3d.pipelines.results.report_page import page
from hierprob3d.pipelines.results.report_pictures import person_pictures
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.pipelines.results.run_summary import summarise
from hierprob3d.transforms.inputs.uris import absolute, filesystem

DEFAULT_NAME = "report.html"


def run(config: ReportConfig) -> int:
    """Writes the page; 0, or UsageError where its folder is no prediction run."""
    torch.set_num_threads(1)  # pictures are small: threads cost more, ten times so on busy machines
    folder = RunFolder(config.folder)
    summary = summarise(folder)
    bodies = RecordedBodies(folder, config.body_model)
    total = min(config.people, summary.num_people)

    def show_progress(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done} of {people(total)} drawn", end=end, file=sys.stderr, flush=True)

    pictures = person_pictures(folder, bodies, config.people, show_progress)
    output = config.output or f"{config.folder.rstrip('/')}/{DEFAULT_NAME}"
    fs, path = filesystem(absolute(output))
    text = page(config.folder, summary, pictures)
    fs.pipe_file(path, text.encode("utf-8", errors="replace"))
    shown = "all" if len(pictures) == summary.num_people else f"{len(pictures)} (--people) of them"
    print(
        f"{output}: {counted(summary.num_items, 'item')}, {people(summary.num_people)}, "
        f"{shown} shown"
    )
    return EXIT_DONE
