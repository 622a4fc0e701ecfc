"""One self-contained HTML page of a prediction run: counts, people, spreads, errors, times."""

from __future__ import annotations

import argparse

from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.results.report_page import page
from hierprob3d.pipelines.results.report_pictures import person_pictures
from hierprob3d.pipelines.results.run_folder import RecordedBodies, RunFolder
from hierprob3d.pipelines.results.run_summary import summarise
from hierprob3d.transforms.inputs.uris import absolute, filesystem

DEFAULT_NAME = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `hierprob3d report`."""
    parser.add_argument("folder", metavar="DIR", help="output folder of a prediction run")
    parser.add_argument("--output", metavar="FILE", help=f"the page (default: DIR/{DEFAULT_NAME})")
    parser.add_argument(
        "--people", type=int, default=24, metavar="N",
        help="people to show, from the surest to the least sure (default: 24; 0 = none, which "
        "needs no body model)",
    )  # fmt: skip
    parser.add_argument(
        "--body-model", metavar="PATH",
        help="the body model of the run: SMPL file or folder (default: where the run found it)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Writes the page; 0, or UsageError where DIR is no prediction run."""
    if args.people < 0:
        raise UsageError(f"--people must be 0 or more, got {args.people}.")
    folder = RunFolder(args.folder)
    summary = summarise(folder)
    pictures = person_pictures(folder, RecordedBodies(folder, args.body_model), args.people)
    output = args.output or f"{args.folder.rstrip('/')}/{DEFAULT_NAME}"
    fs, path = filesystem(absolute(output))
    text = page(args.folder, summary, pictures)
    fs.pipe_file(path, text.encode("utf-8", errors="replace"))
    print(
        f"{output}: {summary.num_items} items, {summary.num_people} people, {len(pictures)} shown"
    )
    return EXIT_DONE
