"""Annotate pictures and videos: distributions over body pose and shape of every person.

Results are Parquet tables below --output. The same command again does only what is missing.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import apache_beam as beam

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.model.network.device import resolve_device
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.pipelines.run.earlier_rows import (
    check_columns,
    check_models,
    check_writable,
    count_failed,
    finished_inputs,
    items_to_drop,
    items_to_redo,
)
from hierprob3d.pipelines.run.execution import attempt, new_pipeline
from hierprob3d.pipelines.run.manifest import Manifest, new_run_id, read_outcome
from hierprob3d.pipelines.run.progress import Progress, polling_interval, published_items
from hierprob3d.pipelines.run.summary import dry_run_text, summary_text
from hierprob3d.pipelines.run.worker_plan import WorkerPlan, plan_workers
from hierprob3d.transforms.batch.models import Models, load_models, model_hashes
from hierprob3d.transforms.inputs.items import Shard
from hierprob3d.transforms.inputs.listing import Listing, list_inputs
from hierprob3d.transforms.inputs.planning import (
    FrameRule,
    Work,
    cut_into_shards,
    default_shard_size,
    find_work,
)
from hierprob3d.transforms.prediction.shards import PredictShards, RunContext
from hierprob3d.transforms.store.output_folder import FinishedItem, OutputFolder
from hierprob3d.transforms.tables.schema import PeopleLayout, file_metadata


def predict(config: PredictConfig, beam_words: list[str] | None = None) -> int:
    """Annotates what is new among the inputs; the exit code.

    Args:
        config: What to do.
        beam_words: Beam's own options, as on the command line.

    Raises:
        ValueError, OSError: Bad usage: inputs, models or the output folder do not serve. Nothing
            was annotated.
    """
    words = list(beam_words or [])
    plan_workers(words, 0, on_gpu=False)  # wrong Beam options are told before anything is read
    listing = list_inputs(config.source.inputs, leave_out=config.run.output)
    models = load_models(config.models)
    store = OutputFolder(config.run.output)
    if config.run.dry_run:
        check_writable(store)
        return _predict_new(config, store, listing, models, words)
    store.create()
    lock = store.lock_for_run()
    try:
        store.sweep()
        return _predict_new(config, store, listing, models, words)
    finally:
        if lock is not None:
            lock.release()


def layout_of(config: PredictConfig, models: Models) -> PeopleLayout:
    """Columns of the people table that the configuration asks for."""
    return PeopleLayout(
        num_vertices=models.body.num_vertices,
        num_samples=config.sampling.num_samples,
        uncertainty=config.sampling.uncertainty,
        save=config.sampling.save,
        global_spread=models.net.config.global_spread,
        refined=config.refinement.refine,
    )


def plan_for(config: PredictConfig, beam_words: list[str], work: Work) -> WorkerPlan:
    """Processes for the work."""
    on_gpu = resolve_device(config.models.device).type == "cuda"
    return plan_workers(beam_words, work.num_items, on_gpu)


def _predict_new(
    config: PredictConfig, store: OutputFolder, listing: Listing, models: Models, words: list[str]
) -> int:
    """Finds the new items, checks that their rows may join the earlier ones, and annotates them."""
    finished = finished_inputs(store, listing)
    redo = items_to_redo(config, store, finished)
    work = _find_new(config, store, listing, redo)
    dropped = items_to_drop(work, redo)
    check_columns(store, layout_of(config, models), dropped)
    check_models(store, config, models, dropped)
    if not work.num_items:
        return _nothing_to_do(config, listing, finished)
    plan = plan_for(config, words, work)
    if config.run.dry_run:
        print(dry_run_text(config, work, listing, plan))
        return EXIT_DONE
    store.drop_items(dropped)
    return _annotate(config, store, work, plan)


def _find_new(config: PredictConfig, store: OutputFolder, listing: Listing, redo: set[str]) -> Work:
    """What is not finished or is to be done again."""
    source = config.source
    rule = FrameRule(
        frame_step=source.frame_step, fps=source.fps, max_megapixels=source.max_megapixels
    )
    done = {item.item_id for item in store.finished_items()} - redo
    return find_work(listing.uris, done, rule, source.limit)


def _nothing_to_do(config: PredictConfig, listing: Listing, finished: list[FinishedItem]) -> int:
    if not finished:
        skipped = f" ({listing.num_skipped} other files skipped)" if listing.num_skipped else ""
        print(f"Nothing to do: the inputs hold no picture or video{skipped}.", file=sys.stderr)
        return EXIT_FAILURES
    failed = count_failed(finished)
    hint = f"; {failed} of them failed (--retry-failed does those again)" if failed else ""
    print(f"Nothing to do: all {len(finished)} items are finished{hint}.")
    too_many = failed > config.run.max_failed_ratio * len(finished)
    return EXIT_FAILURES if too_many else EXIT_DONE


def _annotate(config: PredictConfig, store: OutputFolder, work: Work, plan: WorkerPlan) -> int:
    """Runs the pipeline on the new items, with progress, manifest and summary."""
    size = config.run.shard_size or default_shard_size(work.num_items, plan.num_workers)
    shards = cut_into_shards(work, size)
    context = _context(config, plan)
    manifest = Manifest(store, context.run_id, config, _facts(config, work, shards, plan))
    count = published_items(store, context.run_id, shards)
    with Progress(count, work.num_items, polling_interval(store)):
        problem = attempt(lambda: run_pipeline(shards, context, plan), plan.num_threads)
    outcome = read_outcome(store, context.run_id)
    record = manifest.finish("stopped" if problem else "finished", outcome)
    print(summary_text(record, store.root))
    if isinstance(problem, KeyboardInterrupt):
        raise problem
    if problem is not None:
        print(f"The run stopped: {problem}\nThe same command goes on from here.", file=sys.stderr)
    too_many = outcome.failed_ratio > config.run.max_failed_ratio
    return EXIT_FAILURES if problem or too_many or not outcome.num_items else EXIT_DONE


def run_pipeline(shards: list[Shard], context: RunContext, plan: WorkerPlan) -> None:
    """Annotates and publishes all shards."""
    with new_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(shards, reshuffle=False)
            | "Any worker" >> beam.Reshuffle()
            | "Predict" >> PredictShards(context)
        )


def _context(config: PredictConfig, plan: WorkerPlan) -> RunContext:
    models = load_models(config.models)
    body = models.body
    return RunContext(
        run_id=new_run_id(),
        config=config,
        layout=layout_of(config, models),
        body_metadata=file_metadata(
            family=body.family,
            gender=body.gender,
            body_sha256=body.sha256,
            body_model="open" if config.models.body_model == "open" else os.path.abspath(body.path),
            num_samples=config.sampling.num_samples,
            paper_rule=config.sampling.paper_rule,
        ),
        num_threads=plan.num_threads,
    )


def _facts(
    config: PredictConfig, work: Work, shards: list[Shard], plan: WorkerPlan
) -> dict[str, Any]:
    """What the manifest says besides the configuration."""
    models = load_models(config.models)
    return {
        "workers": plan,
        "device": str(models.device),
        "keypoint_threshold": models.threshold,
        "body": {"family": models.body.family, "gender": models.body.gender},
        "model_files": model_hashes(config.models),
        "items_finished_before": work.num_done,
        "items_planned": work.num_items,
        "shards": len(shards),
    }
