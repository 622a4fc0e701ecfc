"""Evaluate a network on 3DPW, SSP-3D or a synthetic set: metrics of modes and distributions.

Rows of metrics are Parquet below --output, totals are in metrics.json, tables in evaluation.md and
evaluation.html. The same command again does only what is missing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import apache_beam as beam

from hierprob3d.configs.evaluation import PROTOCOLS, EvaluateConfig
from hierprob3d.model.network.device import resolve_device
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES, UsageError
from hierprob3d.pipelines.evaluation.comparison import METRICS_FILE
from hierprob3d.pipelines.evaluation.evaluation_report import (
    CALIBRATION_PICTURE,
    calibration_picture,
    markdown,
    page,
    protocol_lines,
    table_rows,
)
from hierprob3d.pipelines.evaluation.evaluation_summary import summarise
from hierprob3d.pipelines.run.execution import attempt, new_pipeline
from hierprob3d.pipelines.run.manifest import Manifest, new_run_id, read_outcome
from hierprob3d.pipelines.run.progress import Progress, polling_interval, published_items
from hierprob3d.pipelines.run.worker_plan import WorkerPlan, plan_workers
from hierprob3d.transforms.batch.models import file_hashes
from hierprob3d.transforms.evaluation.evaluation_models import (
    evaluation_files,
    load_evaluator,
    open_dataset,
    visibility_rule,
)
from hierprob3d.transforms.evaluation.evaluation_shards import (
    EvaluateRows,
    EvaluationContext,
    ReadTotals,
    RowShard,
    cut_rows,
    row_item,
)
from hierprob3d.transforms.evaluation.totals import CombineTotals, Totals
from hierprob3d.transforms.store.output_folder import RUNS, OutputFolder

from .evaluation_data import provide_data

MARKDOWN_FILE, PAGE_FILE = "evaluation.md", "evaluation.html"
SETTINGS_KEY = "evaluation_settings"
"""Key of the frames parts' metadata: what decides their numbers, as JSON."""

_NUM_THREADS = 1
"""In each process, so that sums are taken in one order and every run gives the same bits."""

_NOT_SETTINGS = frozenset({
    "data", "output", "body_model", "weights", "batch_size", "shard_size", "device", "limit",
    "retry_failed", "overwrite", "max_failed_ratio", "keypoint_weights",
})  # fmt: skip
"""Options that say where files lie or how work is divided, not which numbers come out."""

_OF_REFINEMENT = frozenset({"refine", "keypoint_error"})
"""Settings only where bodies are refined, so that evaluations made before there were any go on."""


def evaluate(config: EvaluateConfig, beam_words: list[str] | None = None) -> int:
    """Evaluates the rows that are not finished; the exit code.

    Args:
        config: What to do.
        beam_words: Beam's own options, as on the command line.

    Raises:
        ValueError, OSError: Bad usage: dataset, models or the output folder do not serve.
    """
    words = list(beam_words or [])
    plan_workers(words, 0, on_gpu=False)  # a refused runner is told before anything is read
    load_evaluator(config)
    config = provide_data(config, words)
    dataset = open_dataset(config)
    store = OutputFolder(config.output)
    store.create()
    lock = store.lock_for_run()
    try:
        store.sweep()
        settings = _settings(config)
        _forget(config, store)
        _check_settings(store, settings)
        num_rows = min(len(dataset), config.limit or len(dataset))
        done = {item.item_id for item in store.finished_items()}
        rows = [r for r in range(num_rows) if row_item(config, dataset, r).item_id not in done]
        on_gpu = resolve_device(config.device).type == "cuda"
        plan = plan_workers(words, len(rows), on_gpu)
        context = _context(config, settings)
        return _evaluate(store, rows, context, plan)
    finally:
        if lock is not None:
            lock.release()


def build(
    pipeline: beam.Pipeline,
    shards: Sequence[RowShard],
    finished: Sequence[str],
    context: EvaluationContext,
) -> None:
    """Shards are evaluated and published; their totals and those of finished parts are joined."""
    new = (
        pipeline
        | "Shards" >> beam.Create(list(shards), reshuffle=False)
        | "Any worker" >> beam.Reshuffle()
        | "Evaluate" >> beam.ParDo(EvaluateRows(context))
    )
    old = (
        pipeline
        | "Finished parts" >> beam.Create(list(finished), reshuffle=False)
        | "Read" >> beam.ParDo(ReadTotals(context.config.output, context.config.num_hypotheses))
    )
    _ = (
        (new, old)
        | "All totals" >> beam.Flatten()
        | "Combine" >> beam.CombineGlobally(CombineTotals())
        | "Publish totals" >> beam.Map(publish_totals, context)
    )


def publish_totals(totals: Totals, context: EvaluationContext) -> None:
    """Writes the numbers of metrics.json, still without the run's record."""
    summary = summarise(totals, context.config)
    store = OutputFolder(context.config.output)
    store.write(_totals_name(context.run_id), json.dumps(summary).encode())


def _evaluate(
    store: OutputFolder, rows: list[int], context: EvaluationContext, plan: WorkerPlan
) -> int:
    """Runs the pipeline on unfinished rows, with progress, manifest and tables."""
    config = context.config
    shards = cut_rows(rows, config.rows_per_shard)
    finished = store.parts("frames")
    manifest = Manifest(store, context.run_id, config, _facts(config, rows, plan))
    count = published_items(store, context.run_id, shards)
    with Progress(count, len(rows), polling_interval(store)):
        problem = attempt(
            lambda: _run_pipeline(shards, finished, context, plan), context.num_threads
        )
    outcome = read_outcome(store, context.run_id)
    record = manifest.finish("stopped" if problem else "finished", outcome)
    if isinstance(problem, KeyboardInterrupt):
        raise problem
    if problem is not None:
        print(f"The run stopped: {problem}\nThe same command goes on from here.", file=sys.stderr)
        return EXIT_FAILURES
    return _report(store, config, context.run_id, record)


def _run_pipeline(
    shards: Sequence[RowShard],
    finished: Sequence[str],
    context: EvaluationContext,
    plan: WorkerPlan,
) -> None:
    with new_pipeline(plan) as pipeline:
        build(pipeline, shards, finished, context)


def _report(
    store: OutputFolder, config: EvaluateConfig, run_id: str, run_record: dict[str, Any]
) -> int:
    """Publishes metrics.json and the tables, and prints the table."""
    summary = json.loads(store.read(_totals_name(run_id)))
    store.remove(_totals_name(run_id))
    record = {
        "dataset": config.dataset,
        "protocol": asdict(PROTOCOLS[config.protocol]),
        **summary,
        "run": run_record,
    }
    picture = None
    if "calibration" in record:
        picture = calibration_picture(record["calibration"])
        store.write(CALIBRATION_PICTURE, picture)
    store.write(METRICS_FILE, json.dumps(record, indent=2).encode())
    store.write(MARKDOWN_FILE, markdown(record).encode())
    store.write(PAGE_FILE, page(record, picture).encode())
    print("\n".join(protocol_lines(record)))
    print("\n".join(f"{name:32} {ours:>14}   {said}" for name, ours, said in table_rows(record)))
    failed = summary["rows_by_status"].get("failed", 0)
    if failed:
        print(
            f"{failed} of {summary['rows']} rows failed: see errors/ in {store.root}",
            file=sys.stderr,
        )
    too_many = failed > config.max_failed_ratio * summary["rows"]
    return EXIT_FAILURES if too_many or not summary["metrics"] else EXIT_DONE


def _forget(config: EvaluateConfig, store: OutputFolder) -> None:
    """Drops rows that this run is told to do again."""
    if config.overwrite:
        store.drop_items({item.item_id for item in store.finished_items()})
    elif config.retry_failed:
        store.drop_items(store.failed_items())


def _settings(config: EvaluateConfig) -> str:
    """What decides the numbers: options and the models' hashes."""
    left_out = _NOT_SETTINGS if config.refine else _NOT_SETTINGS | _OF_REFINEMENT
    options = {name: value for name, value in asdict(config).items() if name not in left_out}
    options["metrics"] = config.metric_names
    options["keypoint_threshold"] = asdict(visibility_rule(config))
    files = file_hashes(evaluation_files(config))
    hashes = {part: file["sha256"] for part, file in files.items()}
    return json.dumps({**options, "models": hashes}, sort_keys=True)


def _check_settings(store: OutputFolder, settings: str) -> None:
    """Raise UsageError if earlier rows were made with other settings: totals would mix them."""
    parts = store.parts("frames")
    if not parts:
        return
    found = (store.read_schema(parts[-1]).metadata or {}).get(SETTINGS_KEY.encode(), b"{}")
    old, new = json.loads(found), json.loads(settings)
    differing = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if differing:
        raise UsageError(
            f"{store.root} holds an evaluation with other settings ({', '.join(differing)}): "
            "choose another --output, or --overwrite it."
        )


def _context(config: EvaluateConfig, settings: str) -> EvaluationContext:
    return EvaluationContext(
        run_id=new_run_id(),
        config=config,
        metadata={SETTINGS_KEY: settings},
        num_threads=_NUM_THREADS,
    )


def _facts(config: EvaluateConfig, rows: list[int], plan: WorkerPlan) -> dict[str, Any]:
    return {
        "workers": plan,
        "protocol": asdict(PROTOCOLS[config.protocol]),
        "metrics": config.metric_names,
        "model_files": file_hashes(evaluation_files(config)),
        "items_planned": len(rows),
    }


def _totals_name(run_id: str) -> str:
    return f"{RUNS}/{run_id}.totals"
