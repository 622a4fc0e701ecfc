"""Every picture that a prediction run could have drawn, from its tables and the inputs."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from hierprob3d.configs.run_results import RenderConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES, UsageError
from hierprob3d.pipelines.command.wording import counted
from hierprob3d.pipelines.results.recorded_models import RecordedModels
from hierprob3d.pipelines.results.render_units import RenderUnit, render_units
from hierprob3d.pipelines.results.rendering import Drawn, Renderer
from hierprob3d.pipelines.results.run_folder import PeoplePart, RunFolder
from hierprob3d.pipelines.run.worker_plan import default_workers, num_cores
from hierprob3d.transforms.batch.models import use_threads
from hierprob3d.transforms.store.output_folder import PICTURES, OutputFolder

_MIN_FRAMES_FOR_PROCESSES = 48
"""Starting processes costs as much as drawing about that many."""

_MAX_NAMED = 5
"""Pictures that are gone, and failures, are named up to here."""


def run(config: RenderConfig) -> int:
    """Draws the pictures; 0, or 1 where none could be drawn.

    Raises:
        UsageError: No run, nobody in it, no such pictures, or its body model is not there.
        OSError: The pictures cannot be written.
    """
    folder = RunFolder(config.folder)
    _check(folder, config)
    units = render_units(folder, config.uri, every_frame="uncropped" in config.visualise)
    if not units:
        raise UsageError(f"no picture or video of {config.folder} with people matches --uri "
                         f"{config.uri}.")  # fmt: skip
    output = config.output or f"{config.folder.rstrip('/')}/{PICTURES}"
    OutputFolder(output).try_writing()
    drawn = _total(_draw_all(config, units), sum(unit.num_frames for unit in units))
    _tell(drawn.gone, "gone or changed, drawn on plain ground")
    _tell(drawn.failures, "not drawn")
    print(f"{counted(drawn.num_pictures, 'picture')} and {counted(drawn.num_videos, 'video')} "
          f"written to {output}")  # fmt: skip
    return EXIT_DONE if drawn.num_pictures or drawn.num_videos else EXIT_FAILURES


def _check(folder: RunFolder, config: RenderConfig) -> None:
    """Raise UsageError, before anything is written, where a run cannot be drawn."""
    models, checked, can_sample = RecordedModels(folder, config.body_model), set(), False
    for name, schema in folder.people_schemas():
        can_sample |= "joint_spread_m" in schema.names
        part = PeoplePart(name, schema.empty_table(), folder.metadata_of(name, schema))
        key = (part.run_id, part.metadata.get("body_sha256"))
        if key not in checked:
            models.of_part(part)
            checked.add(key)
    if not checked:
        raise UsageError(f"{config.folder} holds no people: nothing to draw.")
    if "samples" in config.visualise and not can_sample:
        raise UsageError(
            f"{config.folder} was made with --no-uncertainty: it has no samples to draw."
        )


def _draw_all(config: RenderConfig, units: list[RenderUnit]) -> Iterator[tuple[RenderUnit, Drawn]]:
    """What came of each unit, as they are done: here, or in a process for each core."""
    num_workers = min(default_workers(num_cores(), on_gpu=False), len(units))
    if num_workers == 1 or sum(unit.num_frames for unit in units) < _MIN_FRAMES_FOR_PROCESSES:
        use_threads(1)
        renderer = Renderer(config)
        for unit in units:
            yield unit, renderer.draw(unit)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _open_renderer, (config,))
    try:
        waiting = {pool.submit(_draw, unit): unit for unit in units}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    except BrokenProcessPool as error:
        raise OSError(f"a drawing process ended before its work, perhaps for want of memory "
                      f"({error})") from error  # fmt: skip
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _total(results: Iterable[tuple[RenderUnit, Drawn]], num_frames: int) -> Drawn:
    """All together; progress is shown meanwhile."""
    total, done = Drawn(), 0
    for unit, drawn in results:
        total.num_pictures += drawn.num_pictures
        total.num_videos += drawn.num_videos
        total.gone += [uri for uri in drawn.gone if uri not in total.gone]
        total.failures += drawn.failures
        done += unit.num_frames
        if sys.stderr.isatty():
            end = "\n" if done == num_frames else ""
            print(f"\r{done} of {num_frames} frames drawn", end=end, file=sys.stderr, flush=True)
    return total


def _tell(names: list[str], what: str) -> None:
    """Names the first of some on stderr."""
    for name in names[:_MAX_NAMED]:
        print(f"note: {what}: {name}", file=sys.stderr)
    if len(names) > _MAX_NAMED:
        print(f"note: {what}: {len(names) - _MAX_NAMED} more", file=sys.stderr)


_renderer: Renderer | None = None
"""Of this process, where it is a worker."""


def _open_renderer(config: RenderConfig) -> None:
    global _renderer
    use_threads(1)
    _renderer = Renderer(config)


def _draw(unit: RenderUnit) -> Drawn:
    assert _renderer is not None, "the pool opens it"
    return _renderer.draw(unit)
