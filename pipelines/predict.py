"""Annotate pictures and videos: distributions over body pose and shape of every person.

Results are Parquet tables below --output. The same command again does only what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.module_path import restart_words
from hierprob3d.pipelines.command.output_streams import said_if_slow
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.pipelines.command.wording import counted
from hierprob3d.pipelines.run.absolute_paths import with_absolute_paths
from hierprob3d.pipelines.run.earlier_rows import (
    FinishedInputs,
    check_columns,
    check_writable,
    finished_inputs,
    noting_dropped,
    tell_earlier_spread,
    tell_other_seeds,
    with_earlier_spread,
)
from hierprob3d.pipelines.run.job import Job
from hierprob3d.pipelines.run.row_settings import OF_THE_OUTCOME, RESOLVED
from hierprob3d.pipelines.run.run import Run, Work
from hierprob3d.pipelines.run.summary import NUM_SHOWN_ITEMS, dry_run_text, summary_text
from hierprob3d.pipelines.run.worker_plan import WorkerPlan, plan_workers
from hierprob3d.transforms.batch.model_facts import ModelFacts, loaded_facts, model_facts
from hierprob3d.transforms.inputs.listing import Listing, list_inputs
from hierprob3d.transforms.inputs.planning import Planner, PlanRules
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import SOURCE_DETAILS, Plan
from hierprob3d.transforms.tables.schema import PeopleLayout, file_metadata

if TYPE_CHECKING:
    import apache_beam as beam

    from hierprob3d.transforms.prediction.publishing import RunContext

_WORKERS_PER_PART = 4
"""Processes that a machine which does a part is expected to have, when shards are cut."""


def predict(config: PredictConfig, beam_words: list[str] | None = None) -> int:
    """Annotates what is new among the inputs; the exit code.

    Args:
        config: What to do.
        beam_words: Beam's own options, as on the command line.

    Raises:
        ValueError, OSError: Bad usage: inputs, models or the output folder do not serve. Nothing
            was annotated.
    """
    import torch  # noqa: F401 - what is asked of models is then asked in this process

    words = list(beam_words or [])
    plan_workers(words, 0, on_gpu=False)  # wrong Beam options are told before anything is read
    job = Prediction(with_absolute_paths(config))  # for workers of other machines
    job.prepare(words)
    store = OutputFolder(job.output)
    if config.run.dry_run:
        return _say_what_would_be_done(job, words, store)
    with Run(store, job.config, words, job.on_gpu) as run:
        plan = job.plan(run)
        if not plan.num_items:
            run.forget_marks()
            return _nothing_to_do(job.config, job.listing, job.finished)
        workers = job.workers(run, plan.num_items)
        result = run.execute(job.work_for(run), plan, workers, job.facts())
    print(summary_text(result.record, store.root, job.listing.skipped_text()))
    return result.exit_code(config.run.max_failed_ratio)


class Prediction(Job):
    """What `predict` does.

    Args:
        config: All that it was told; what earlier rows of the folder add to it comes with the plan.
    """

    config_class = PredictConfig
    details = SOURCE_DETAILS
    no_row_settings = OF_THE_OUTCOME | {
        "inputs", "frame_step", "fps", "limit", "max_megapixels", "check_sources", "body_model",
        "weights", "pose_shape_cfg", "detector_weights", "keypoint_weights", "device", "engine",
        "output", "shard_size", "batch_size", "visualise", "picture_format", "renderer", "dry_run",
        "time_limit_per_item", "focal_length", "seed", "save",
    }  # fmt: skip
    """Of the last three rows tell themselves: by columns of their own."""

    config: PredictConfig

    listing: Listing
    finished: FinishedInputs
    _num_done: int | None = None

    @property
    def output(self) -> str:
        """Folder of the results."""
        return self.config.run.output

    @property
    def max_failed_ratio(self) -> float:
        """Share of failures above which the exit code is 1."""
        return self.config.run.max_failed_ratio

    @cached_property
    def models(self) -> ModelFacts:
        """What they are; loaded in this process, unless `prepare` asked another."""
        return loaded_facts(self.config.models, ())

    @property
    def on_gpu(self) -> bool:
        """Whether the networks compute on a GPU."""
        return self.models.on_gpu

    def prepare(self, beam_words: list[str]) -> None:
        """Lists the inputs and tries the models."""
        source = self.config.source
        self.listing = list_inputs(source.inputs, self.output, source.check_sources)
        with said_if_slow("loading models ..."):
            self.models = model_facts(self.config.models, self.listing.genders)

    def plan(self, run: Run, num_parts: int | None = None) -> Plan:
        """Plans the new items, and checks that their rows may join the earlier ones."""
        config, store = self.config, run.store
        finished = finished_inputs(config, store, self.listing)

        def sharing(num_items: int) -> int:
            if num_parts is None:
                return run.workers(num_items).num_sharing
            return num_parts * _WORKERS_PER_PART

        planner = _planner(config, store, self.listing, finished.redo, sharing)
        dropped = set(finished.changed)
        plan = run.plan(noting_dropped(planner, finished.redo, dropped), SOURCE_DETAILS)
        try:
            if len(self.listing.sources):
                self.check_joins(store, dropped)
        except ValueError:
            store.remove(plan.name)
            raise
        self.finished, self._num_done, run.config = finished, planner.num_done, self.config
        if not plan.num_items:
            store.remove(plan.name)
            return plan
        if self.config != config:
            tell_earlier_spread(store)
        store.drop_items(dropped)
        return plan

    def check_joins(self, store: OutputFolder, dropped: set[str]) -> None:
        """Raise UsageError if rows that stay, once some are dropped, could not be read with new."""
        self.check_settings(store, dropped)
        self.config = with_earlier_spread(self.config, store, dropped)
        check_columns(store, layout_of(self.config, self.models), dropped)
        tell_other_seeds(store, self.config.sampling.seed, dropped)

    def model_files(self) -> dict[str, dict[str, str]]:
        """Path and SHA-256 of every file that results depend on."""
        return self.models.files

    def facts(self) -> dict[str, Any]:
        """What the manifest says besides configuration and plan."""
        models = self.models
        known = {} if self._num_done is None else {"items_finished_before": self._num_done}
        return {
            "device": models.device,
            "engines": models.engines,
            "keypoint_threshold": models.threshold,
            RESOLVED: {
                "detector_threshold": models.detector_threshold,
                "keypoint_threshold": models.threshold,
                "pose_shape_cfg": models.proxy,
            },
            "body": {"family": models.body_family, "gender": models.body_gender},
            "model_files": self.model_files(),
            **known,
        }

    def work_for(self, run: Run) -> Work:
        """The dataflow of a run's shards, and the same for a few of them without Beam."""

        def build_part(pipeline: beam.Pipeline, part: Plan, workers: WorkerPlan) -> None:
            from .prediction_graph import build  # takes Beam, which few pictures do without

            build(pipeline, part, _context(self.config, self.models, run.id, workers))

        def do_here(part: Plan, workers: WorkerPlan) -> None:
            from hierprob3d.transforms.prediction.shard_worker import annotate_shards

            annotate_shards(part, _context(self.config, self.models, run.id, workers))

        return Work(build_part, do_here)

    def finish(self, store: OutputFolder, record: dict[str, Any]) -> int:
        """Prints the summary."""
        print(summary_text(record, store.root))
        counts = record["counts"]
        too_many = counts["failed"] > self.max_failed_ratio * counts["items"]
        nothing = record["items_planned"] and not counts["items"]
        return EXIT_FAILURES if too_many or nothing else EXIT_DONE


def layout_of(config: PredictConfig, models: ModelFacts) -> PeopleLayout:
    """Columns of the people table that the configuration asks for."""
    return PeopleLayout(
        num_vertices=models.num_vertices,
        num_samples=config.sampling.num_samples,
        uncertainty=config.sampling.uncertainty,
        save=config.sampling.save,
        global_spread=models.global_spread,
        refined=config.refinement.refine,
        drop_intersecting=config.sampling.drop_intersecting,
    )


def _say_what_would_be_done(job: Prediction, words: list[str], store: OutputFolder) -> int:
    """As `Prediction.plan`, but nothing is written."""
    check_writable(store)
    config, listing = job.config, job.listing

    def workers_for(num_items: int) -> WorkerPlan:
        return plan_workers(words, num_items, job.on_gpu)

    finished = finished_inputs(config, store, listing)
    planner = _planner(
        config, store, listing, finished.redo, lambda number: workers_for(number).num_sharing
    )
    dropped = set(finished.changed)
    shown: list[str] = []
    for shard in noting_dropped(planner, finished.redo, dropped):
        shown += [item.name for item in shard.items[: NUM_SHOWN_ITEMS - len(shown)]]
    if len(listing.sources):
        job.check_joins(store, dropped)
    if not planner.num_items:
        return _nothing_to_do(config, listing, finished)
    print(dry_run_text(config, planner, shown, listing, workers_for(planner.num_items)))
    return EXIT_DONE


def _planner(
    config: PredictConfig,
    store: OutputFolder,
    listing: Listing,
    redo: set[str],
    num_workers: Callable[[int], int],
) -> Planner:
    """What finds the items that are not finished or are to be done again."""
    source = config.source
    rules = PlanRules(
        frame_step=source.frame_step,
        fps=source.fps,
        max_megapixels=source.max_megapixels,
        time_limit_s=config.run.time_limit_per_item,
        shard_size=config.run.shard_size,
        num_workers=num_workers,
        limit=source.limit,
    )
    done = store.finished_ids().without(redo)
    replaced = redo if config.run.overwrite else ()
    return Planner(listing.sources, done, rules, listing.skipped, replaced)


def _nothing_to_do(config: PredictConfig, listing: Listing, finished: FinishedInputs) -> int:
    if not finished.num_items:
        skipped = (
            f" ({counted(listing.num_skipped, 'other file')} skipped)"
            if listing.num_skipped
            else ""
        )
        names = f": {listing.skipped_text()}" if skipped else "."
        print(
            f"Nothing to do: the inputs hold no picture or video{skipped}{names}", file=sys.stderr
        )
        return EXIT_FAILURES
    failed = finished.num_failed
    hint = f"; {failed} of them failed (--retry-failed does those again)" if failed else ""
    number = finished.num_items
    done = "the only item is" if number == 1 else f"all {number} items are"
    print(f"Nothing to do: {done} finished{hint}.")
    too_many = failed > config.run.max_failed_ratio * finished.num_items
    return EXIT_FAILURES if too_many else EXIT_DONE


def _context(
    config: PredictConfig, models: ModelFacts, run_id: str, workers: WorkerPlan
) -> RunContext:
    from hierprob3d.transforms.batch.models import body_identity, load_models  # take torch
    from hierprob3d.transforms.prediction.publishing import RunContext

    return RunContext(
        run_id=run_id,
        config=config,
        layout=layout_of(config, models),
        body_metadata=file_metadata(
            body_identity(config.models, load_models(config.models).body),
            num_samples=config.sampling.num_samples,
            paper_rule=config.sampling.paper_rule,
            drop_intersecting=config.sampling.drop_intersecting,
        ),
        num_threads=workers.num_threads,
        num_processes=workers.num_workers,
        may_exit=workers.may_exit,
        may_divide=workers.is_local,
        restart_words=() if workers.may_exit else tuple(restart_words()),
    )
