"""One self-contained HTML page of a prediction run: counts, people, spreads, errors, times."""

from __future__ import annotations

from hierprob3d.configs.run_results import ReportConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE
from hierprob3d.pipelines.results.recorded_bodies import RecordedBodies
from hierprob3d.pipelines.results.report_page import page
from hierprob3d.pipelines.results.report_pictures import person_pictures
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.pipelines.results.run_summary import summarise
from hierprob3d.transforms.inputs.uris import absolute, filesystem

DEFAULT_NAME = "report.html"


def run(config: ReportConfig) -> int:
    """Writes the page; 0, or UsageError where its folder is no prediction run."""
    folder = RunFolder(config.folder)
    summary = summarise(folder)
    pictures = person_pictures(folder, RecordedBodies(folder, config.body_model), config.people)
    output = config.output or f"{config.folder.rstrip('/')}/{DEFAULT_NAME}"
    fs, path = filesystem(absolute(output))
    text = page(config.folder, summary, pictures)
    fs.pipe_file(path, text.encode("utf-8", errors="replace"))
    print(
        f"{output}: {summary.num_items} items, {summary.num_people} people, {len(pictures)} shown"
    )
    return EXIT_DONE
