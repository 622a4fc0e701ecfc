"""Evaluate a network on 3DPW, SSP-3D or a synthetic set: metrics of modes and distributions.

Rows of metrics are Parquet below --output, totals are in metrics.json, tables in evaluation.md and
evaluation.html. The same command again does only what is missing.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import Any

import apache_beam as beam

from hierprob3d.configs.evaluation import PROTOCOLS, EvaluateConfig
from hierprob3d.model.network.device import resolve_device
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.pipelines.command.wording import counted
from hierprob3d.pipelines.evaluation.comparison import METRICS_FILE
from hierprob3d.pipelines.evaluation.evaluation_report import (
    CALIBRATION_PICTURE,
    calibration_picture,
    evaluation_markdown,
    evaluation_page,
    protocol_lines,
    table_rows,
)
from hierprob3d.pipelines.evaluation.evaluation_summary import summarise_totals
from hierprob3d.pipelines.evaluation.per_frame_files import write_per_frame_files
from hierprob3d.pipelines.run.absolute_paths import with_absolute_paths
from hierprob3d.pipelines.run.execution import new_pipeline
from hierprob3d.pipelines.run.job import Job
from hierprob3d.pipelines.run.row_settings import OF_THE_OUTCOME, RESOLVED
from hierprob3d.pipelines.run.run import Run, Work
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
    ListEarlierParts,
    ReadTotals,
    new_rows,
)
from hierprob3d.transforms.evaluation.fixed_bodies import measured
from hierprob3d.transforms.evaluation.totals import CombineTotals, Totals
from hierprob3d.transforms.store.list_shards import ListShards
from hierprob3d.transforms.store.output_folder import RUNS, OutputFolder
from hierprob3d.transforms.store.plan import Plan

from .evaluation_data import provide_data

MARKDOWN_FILE, PAGE_FILE = "evaluation.md", "evaluation.html"
_OF_PROTOCOLS = ("root", "mode_among_samples", "iou")
"""Fields of them that decide numbers; the others are words."""

_NUM_THREADS = 1
"""In each process, so that sums are taken in one order and every run gives the same bits."""


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
    job = Evaluation(with_absolute_paths(config))  # for workers of other machines
    job.prepare(words)
    with Run(OutputFolder(job.output), job.config, words, job.on_gpu) as run:
        plan = job.plan(run)
        workers = job.workers(run, plan.num_items)
        result = run.execute(job.work_for(run), plan, workers, job.facts())
        if result.problem is not None:
            return result.exit_code(config.max_failed_ratio)
        return _report(run.store, job.config, run.id, result.record)


class Evaluation(Job):
    """What `evaluate` does."""

    config_class = EvaluateConfig
    needs_records = True
    no_row_settings = OF_THE_OUTCOME | {
        "data", "output", "images", "body_model", "weights", "pose_shape_cfg", "keypoint_weights",
        "limit", "device", "shard_size", "batch_size", "per_frame_files",
    }  # fmt: skip
    config: EvaluateConfig

    @property
    def on_gpu(self) -> bool:
        """Whether the networks compute on a GPU."""
        return resolve_device(self.config.device).type == "cuda"

    def prepare(self, beam_words: list[str]) -> None:
        """Loads the models, makes the data if there are none, and opens them."""
        load_evaluator(self.config)
        self.config = provide_data(self.config, beam_words)
        open_dataset(self.config)

    def plan(self, run: Run, num_parts: int | None = None) -> Plan:
        """Plans the rows that are not finished, and checks that they may join the others."""
        run.config = config = self.config
        dataset = open_dataset(config)
        if not config.overwrite:
            self.check_settings(run.store)
        run.forget(overwrite=config.overwrite, retry_failed=config.retry_failed)
        if num_parts is not None:  # every part gets some
            most = -(-min(len(dataset), config.limit or len(dataset)) // num_parts)
            config = replace(config, shard_size=max(1, min(config.shard_size, most)))
        return run.plan(new_rows(config, dataset, run.store.finished_ids()))

    def workers(self, run: Run, num_items: int) -> WorkerPlan:
        """Processes, whose numeric libraries have one thread each."""
        return replace(super().workers(run, num_items), num_threads=_NUM_THREADS)

    def model_files(self) -> dict[str, dict[str, str]]:
        """Path and SHA-256 of every file that results depend on."""
        return file_hashes(evaluation_files(self.config))

    def facts(self) -> dict[str, Any]:
        """What the manifest says besides configuration and plan."""
        config, protocol = self.config, asdict(PROTOCOLS[self.config.protocol])
        evaluator = load_evaluator(config)
        return {
            "protocol": protocol,
            "metrics": config.metric_names,
            "model_files": self.model_files(),
            RESOLVED: {
                "metrics": config.metric_names,
                "pose_shape_cfg": evaluator.proxy,
                "keypoint_threshold": visibility_rule(config),
                "the protocol's": {name: protocol[name] for name in _OF_PROTOCOLS},
                "the dataset's rounding": config.rules.rounding,
                "fixed bodies that differ by": measured(evaluator),
            },
        }

    def work_for(self, run: Run) -> Work:
        """The dataflow of a run's rows; totals wait for `finish` where it does but a part."""
        context = self._context(run.id)

        def build_part(pipeline: beam.Pipeline, part: Plan, workers: WorkerPlan) -> None:
            if run.series:
                build_rows(pipeline, part, context)
            else:
                build(pipeline, part, context)

        return Work(build_part)

    def _context(self, run_id: str) -> EvaluationContext:
        return EvaluationContext(
            run_id=run_id,
            config=self.config,
            num_threads=_NUM_THREADS,
        )

    def finish(self, store: OutputFolder, record: dict[str, Any]) -> int:
        """Joins the totals of all parts, and publishes metrics.json and the tables."""
        context = self._context(record["run_id"])
        workers = plan_workers([], 0, on_gpu=False)
        with new_pipeline(workers) as pipeline:
            nothing_new = Plan(store.root, "", num_items=0, num_shards=0)
            _publish_joined(earlier_totals(pipeline, nothing_new, context), context)
        return _report(store, self.config, record["run_id"], record)


def build(pipeline: beam.Pipeline, plan: Plan, context: EvaluationContext) -> None:
    """Rows are evaluated and published; their totals and those of finished parts are joined."""
    both = (build_rows(pipeline, plan, context), earlier_totals(pipeline, plan, context))
    _publish_joined(both | "All totals" >> beam.Flatten(), context)


def build_rows(
    pipeline: beam.Pipeline, plan: Plan, context: EvaluationContext
) -> beam.PCollection[Totals]:
    """Rows are evaluated and published; their totals."""
    return (
        pipeline
        | "Plan" >> beam.Create([plan], reshuffle=False)
        | "List shards" >> beam.ParDo(ListShards())
        | "Any worker" >> beam.Reshuffle()
        | "Evaluate" >> beam.ParDo(EvaluateRows(context))
    )


def earlier_totals(
    pipeline: beam.Pipeline, plan: Plan, context: EvaluationContext
) -> beam.PCollection[Totals]:
    """Totals of the finished parts that are not of the plan's shards."""
    return (
        pipeline
        | "Finished besides" >> beam.Create([plan], reshuffle=False)
        | "List finished parts" >> beam.ParDo(ListEarlierParts(context.run_id))
        | "Any reader" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(ReadTotals(context.config.output, context.config.num_hypotheses))
    )


def _publish_joined(totals: beam.PCollection[Totals], context: EvaluationContext) -> None:
    _ = (
        totals
        | "Combine" >> beam.CombineGlobally(CombineTotals())
        | "Publish totals" >> beam.Map(publish_totals, context)
    )


def publish_totals(totals: Totals, context: EvaluationContext) -> None:
    """Writes the numbers of metrics.json, still without the run's record."""
    summary = summarise_totals(totals, context.config)
    store = OutputFolder(context.config.output)
    store.write(_totals_name(context.run_id), json.dumps(summary).encode())


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
    if config.per_frame_files:
        write_per_frame_files(store, config)
    picture = None
    if "calibration" in record:
        picture = calibration_picture(record["calibration"])
        store.write(CALIBRATION_PICTURE, picture)
    store.write(METRICS_FILE, json.dumps(record, indent=2).encode())
    store.write(MARKDOWN_FILE, evaluation_markdown(record).encode())
    store.write(PAGE_FILE, evaluation_page(record, picture).encode())
    print("\n".join(protocol_lines(record)))
    print("\n".join(f"{name:32} {ours:>14}   {said}" for name, ours, said in table_rows(record)))
    failed = summary["rows_by_status"].get("failed", 0)
    if failed:
        print(
            f"{failed} of {counted(summary['rows'], 'row')} failed: see errors/ in {store.root}",
            file=sys.stderr,
        )
    too_many = failed > config.max_failed_ratio * summary["rows"]
    return EXIT_FAILURES if too_many or not summary["metrics"] else EXIT_DONE


def _totals_name(run_id: str) -> str:
    return f"{RUNS}/{run_id}.totals"
