"""Preprocess 3DPW: a crop and labels of every person in every frame with a valid camera.

Writes the paper's 3dpw_<split>.npz and cropped_frames/*.png below --output, the same labels and
more as Parquet, and with --keypoints the keypoint file that evaluation needs. The same command
again does only what is missing.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.network.device import resolve_device
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES
from hierprob3d.pipelines.command.wording import counted
from hierprob3d.pipelines.run.absolute_paths import with_absolute_paths
from hierprob3d.pipelines.run.job import Job
from hierprob3d.pipelines.run.row_settings import OF_THE_OUTCOME
from hierprob3d.pipelines.run.run import Run, Work
from hierprob3d.pipelines.run.worker_plan import WorkerPlan, plan_workers
from hierprob3d.transforms.batch.models import file_hashes, keypoints_path
from hierprob3d.transforms.datasets.pw3d import keypoints_name, labels_name
from hierprob3d.transforms.datasets.pw3d_plan import DETAILS, list_sequences, new_frames
from hierprob3d.transforms.datasets.pw3d_preprocess import (
    Preprocess,
    PreprocessContext,
    cached_body,
    load_estimator,
)
from hierprob3d.transforms.datasets.pw3d_schema import label_schema
from hierprob3d.transforms.evaluation.totals import column_values
from hierprob3d.transforms.store.list_shards import ListShards
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan

_ORDER = ("sequence_file", "person_index", "frame_index")
"""The paper's order of rows."""


def preprocess(config: PreprocessConfig, beam_words: list[str] | None = None) -> int:
    """Preprocesses the frames that are not finished; the exit code.

    Args:
        config: What to do.
        beam_words: Beam's own options, as on the command line.

    Raises:
        ValueError, OSError: Bad usage: 3DPW, models or the output folder do not serve.
    """
    words = list(beam_words or [])
    plan_workers(words, 0, on_gpu=False)  # a refused runner is told before anything is read
    job = Preprocessing(with_absolute_paths(config))  # for workers of other machines
    job.prepare(words)
    with Run(OutputFolder(job.output), job.config, words, job.on_gpu) as run:
        plan = job.plan(run)
        workers = job.workers(run, plan.num_items)
        result = run.execute(job.work_for(run), plan, workers, job.facts())
        if result.problem is not None:
            return result.exit_code(config.max_failed_ratio)
        return job.finish(run.store, result.record)


class Preprocessing(Job):
    """What `preprocess-3dpw` does."""

    config_class = PreprocessConfig
    details = DETAILS
    no_row_settings = OF_THE_OUTCOME | {
        "data", "output", "body_model", "keypoint_weights", "device", "shard_size", "limit",
    }  # fmt: skip
    config: PreprocessConfig

    _uris: Sequence[str] = ()
    _num_done: int | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether the keypoint model computes on a GPU."""
        config = self.config
        return config.keypoints is not None and resolve_device(config.device).type == "cuda"

    def prepare(self, beam_words: list[str]) -> None:
        """Lists the sequences and loads the models."""
        self._uris = list_sequences(self.config.data, self.config.split)
        self._bodies()
        load_estimator(self.config)

    def plan(self, run: Run, num_parts: int | None = None) -> Plan:
        """Plans the frames that are not finished."""
        config, store = self.config, run.store
        if not config.overwrite:
            self.check_settings(store)
        run.forget(overwrite=config.overwrite, retry_failed=config.retry_failed)
        done = store.finished_ids()
        self._num_done = len(done)
        return run.plan(new_frames(self._uris, config, done), DETAILS)

    def model_files(self) -> dict[str, dict[str, str]]:
        """Path and SHA-256 of the body models, and of the keypoint model if there is one."""
        bodies = {
            f"body_{gender}": {"path": str(body.path), "sha256": body.sha256}
            for gender, body in self._bodies().items()
        }
        found = self.config.keypoints
        path = None if found is None else keypoints_path(found, self.config.keypoint_weights)
        return {**bodies, **({} if path is None else file_hashes({"keypoints": path}))}

    def _bodies(self) -> dict[str, Body]:
        path = self.config.body_model
        return {gender: cached_body(path, gender) for gender in ("male", "female")}

    def facts(self) -> dict[str, Any]:
        """What the manifest says besides configuration and plan."""
        known = {} if self._num_done is None else {"items_finished_before": self._num_done}
        return {"model_files": self.model_files(), **known}

    def work_for(self, run: Run) -> Work:
        """The dataflow of a run's shards."""

        def build_part(pipeline: beam.Pipeline, part: Plan, workers: WorkerPlan) -> None:
            context = PreprocessContext(
                run_id=run.id, config=self.config, num_threads=workers.num_threads
            )
            build(pipeline, part, context)

        return Work(build_part)

    def finish(self, store: OutputFolder, record: dict[str, Any]) -> int:
        """Joins all labels in the paper's files."""
        num_rows = write_label_files(store, self.config)
        counts = record["counts"]
        print(
            f"{counted(counts['items'], 'frame')} in this run, {counts['failed']} of them failed "
            f"(errors/); {labels_name(self.config.split)} has {counted(num_rows, 'row')}."
        )
        too_many = counts["failed"] > self.max_failed_ratio * counts["items"]
        return EXIT_FAILURES if too_many or not num_rows else EXIT_DONE


def build(pipeline: beam.Pipeline, plan: Plan, context: PreprocessContext) -> None:
    """Frames of sequences become crops and labels."""
    _ = (
        pipeline
        | "Plan" >> beam.Create([plan], reshuffle=False)
        | "List shards" >> beam.ParDo(ListShards())
        | "Any worker" >> beam.Reshuffle()
        | "Preprocess" >> beam.ParDo(Preprocess(context))
    )


def write_label_files(store: OutputFolder, config: PreprocessConfig) -> int:
    """Gathers all parts in the paper's files, in its order and types; the number of rows."""
    schema = label_schema(config.keypoints is not None)
    parts = [store.read_part(name).replace_schema_metadata() for name in store.parts("people")]
    empty = schema.empty_table().replace_schema_metadata()
    table = pa.concat_tables([empty, *parts]).sort_by([(name, "ascending") for name in _ORDER])
    arrays = {
        "imgname": _texts(table, "imgname"),
        "center": column_values(table["center"]).reshape(-1, 2),
        "wh": column_values(table["wh"])[:, 0],
        "pose": column_values(table["pose"]).reshape(-1, 3 * NUM_JOINTS),
        "shape": column_values(table["shape"]).reshape(-1, NUM_BETAS),
        "gender": _texts(table, "gender"),
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    store.write(labels_name(config.split), buffer.getvalue())
    if config.keypoints is not None:
        keypoints = column_values(table["keypoints"]).reshape(-1, NUM_KEYPOINTS, 3)
        buffer = io.BytesIO()
        np.save(buffer, keypoints.astype(np.float64))
        store.write(keypoints_name(config.keypoints), buffer.getvalue())
    return table.num_rows


def _texts(table: pa.Table, name: str) -> np.ndarray:
    return np.array(table[name].to_pylist(), dtype=np.str_)
