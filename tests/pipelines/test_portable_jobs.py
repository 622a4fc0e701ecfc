"""The jobs that are submitted: small, of one size, fused behind a shuffle, and known to engines."""

from __future__ import annotations

import base64
import bz2
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam import coders
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import translations

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.prediction import (
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.pipelines import evaluate, prediction_graph, preprocess_3dpw
from hierprob3d.pipelines.run.resource_hints import with_hints
from hierprob3d.pipelines.run.worker_plan import WorkerPlan
from hierprob3d.transforms.batch.batch_coder import BatchCoder
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.datasets.pw3d_preprocess import PreprocessContext
from hierprob3d.transforms.evaluation.evaluation_shards import EvaluationContext
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction.publishing import RunContext
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan, PlanWriter
from hierprob3d.transforms.tables.schema import PeopleLayout

TRANSLATED = {
    "beam:transform:impulse:v1", "beam:transform:group_by_key:v1", "beam:transform:flatten:v1",
    "beam:transform:reshuffle:v1", "beam:runner:executable_stage:v1",
}  # fmt: skip
"""All that the portable translators of Flink and of Spark take in batch jobs, after fusion.

Read in Beam's repository, below runners/flink/src/main/java/org/apache/beam/runners/flink/ in
`FlinkBatchPortablePipelineTranslator.createTranslator` and below runners/spark/src/main/java/org/
apache/beam/runners/spark/translation/ in the constructor of `SparkBatchPortablePipelineTranslator`.
ParDos are no part of it: they become executable stages.
"""

PARDO = "beam:transform:pardo:v1"


FLAGS = ("--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK")
ENGINE = WorkerPlan(with_hints(FLAGS, {"min_ram": "3GiB"}), is_local=False).for_device("cuda")

Build = Callable[[beam.Pipeline, Plan, Path], None]


@dataclass(frozen=True)
class Job:
    """A command's dataflow."""

    build: Build
    """Adds it to a pipeline, for an output folder."""

    stages: frozenset[str]
    """Steps that do the work, to be fused behind a reshuffle."""

    reshuffles: int = 1
    side_inputs: frozenset[str] = frozenset()
    """Steps that read a value besides their elements; both engines hand it to all workers."""


def predict_config(output: Path, refine: bool = True) -> PredictConfig:
    return PredictConfig(
        source=SourceConfig(inputs=("/a",)),
        models=ModelsConfig(),
        sampling=SamplingConfig(),
        refinement=RefinementConfig(refine=refine),
        run=RunConfig(output=str(output), visualise=frozenset({"crops"})),
    )


def build_predict(
    pipeline: beam.Pipeline,
    plan: Plan,
    output: Path,
    refine: bool = True,
) -> None:
    context = RunContext(
        run_id="run", config=predict_config(output, refine), layout=PeopleLayout(num_vertices=6880),
        body_metadata={},
    )  # fmt: skip
    prediction_graph.build(pipeline, plan, context)


def build_evaluate(pipeline: beam.Pipeline, plan: Plan, output: Path) -> None:
    config = EvaluateConfig(dataset="synthetic", data="/data", output=str(output))
    context = EvaluationContext(run_id="run", config=config)
    evaluate.build(pipeline, plan, context)


def build_preprocess(pipeline: beam.Pipeline, plan: Plan, output: Path) -> None:
    config = PreprocessConfig(data="/data", output=str(output), body_model="/smpl")
    context = PreprocessContext(run_id="run", config=config)
    preprocess_3dpw.build(pipeline, plan, context)


PREDICT = Job(build_predict, frozenset({
    "Decode", "Detect people", "Find keypoints", "Make proxies", "Predict distributions",
    "Place bodies", "Refine bodies", "Sample bodies", "Draw pictures", "Publish",
}))  # fmt: skip
JOBS = {
    "predict": PREDICT,
    "evaluate": Job(
        build_evaluate, frozenset({"Evaluate"}), 2, frozenset({"Combine/InjectDefault"})
    ),
    "preprocess-3dpw": Job(build_preprocess, frozenset({"Preprocess"})),
}


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> Job:
    """Each command's."""
    return JOBS[request.param]


def proto_of(
    job: Job, output: Path, num_items: int, flags: tuple[str, ...] = ()
) -> beam_runner_api_pb2.Pipeline:
    store = OutputFolder(str(output))
    store.create()
    with PlanWriter(store, "run") as writer:
        for start in range(0, num_items, 32):
            writer.add([picture_item(f"/{i}.jpg") for i in range(start, start + 32)])
    pipeline = beam.Pipeline("FnApiRunner", PipelineOptions(list(flags)))
    job.build(pipeline, writer.plan(), output)
    return pipeline.to_runner_api()


def test_a_job_does_not_grow_with_the_inputs(job: Job, tmp_path: Path) -> None:
    few, many = (proto_of(job, tmp_path / str(n), n).ByteSize() for n in (32, 32_000))
    assert many - few < 200 and many < 500_000


def test_all_work_is_one_stage_behind_a_shuffle(job: Job, tmp_path: Path) -> None:
    _, stages = translations.create_and_optimize_stages(
        proto_of(job, tmp_path, 32, ENGINE.flags),
        phases=[translations.annotate_downstream_side_inputs,
                translations.fix_side_input_pcoll_coders, translations.pack_combiners,
                translations.lift_combiners, translations.expand_sdf,
                translations.expand_gbk, translations.sink_flattens,
                translations.greedily_fuse, translations.read_to_impulse,
                translations.impulse_to_input],
        known_runner_urns=frozenset(), use_state_iterables=False)  # fmt: skip
    holding = [
        names
        for stage in stages
        if (names := {t.unique_name for t in stage.transforms}) & job.stages
    ]
    assert len(holding) == 1 and job.stages <= holding[0]
    # What hands the shuffled references on is in it, so that they go to no other worker first.
    assert "Any worker/RemoveRandomKeys" in holding[0]


def test_beam_asks_batches_for_their_size(tmp_path: Path) -> None:
    """It would pickle some of them, pictures and all, if it did not know what they are."""
    pipeline = beam.Pipeline("FnApiRunner")
    build_predict(pipeline, Plan(str(tmp_path), "plan", 0, 0), tmp_path)
    types: dict[str, Any] = {}

    class Visitor(PipelineVisitor):
        def visit_transform(self, transform_node: Any) -> None:
            for output in transform_node.outputs.values():
                types[transform_node.full_label] = output.element_type

    pipeline.visit(Visitor())
    given = {types[stage] for stage in PREDICT.stages - {"Publish"}}
    assert given == {Batch} and coders.registry.get_coder(Batch) == BatchCoder()


def test_flink_and_spark_know_all_that_is_submitted(job: Job, tmp_path: Path) -> None:
    proto = proto_of(job, tmp_path, 32)
    steps = proto.components.transforms.values()
    # What makes no new collection, such as the reshuffle that `Create` leaves out, is passed over.
    leaves = [
        step
        for step in steps
        if not step.subtransforms and set(step.outputs.values()) - set(step.inputs.values())
    ]
    assert {step.spec.urn for step in leaves} <= TRANSLATED | {PARDO}
    reshuffles = [step for step in steps if step.spec.urn == "beam:transform:reshuffle:v1"]
    assert len(reshuffles) == job.reshuffles and not list(proto.requirements)
    for step in leaves:
        if step.spec.urn == PARDO:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
            assert not payload.side_inputs or step.unique_name in job.side_inputs
            assert not payload.state_specs and not payload.timer_family_specs
            assert not payload.restriction_coder_id and not payload.requests_finalization


def test_our_steps_are_pickled_by_their_public_names(job: Job, tmp_path: Path) -> None:
    proto = proto_of(job, tmp_path, 32)
    by_name = {step.unique_name: step for step in proto.components.transforms.values()}
    for name in (*job.stages, "List shards"):
        payload = beam_runner_api_pb2.ParDoPayload.FromString(by_name[name].spec.payload)
        reader = NamesRead(payload.do_fn.payload)
        reader.load()
        named = reader.found
        ours = {name for name in named if name.startswith("hierprob3d.")}
        assert ours and not any(part.startswith("_") for name in ours for part in name.split("."))
        foreign = {
            name for name in named - ours if not name.startswith(("builtins", "apache_beam"))
        }
        assert not foreign, foreign  # neither functions by their code nor names of __main__


class NamesRead(pickle.Unpickler):
    """Notes what a pickle looks up by name."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(io.BytesIO(bz2.decompress(base64.b64decode(payload))))
        self.found = set[str]()

    def find_class(self, module: str, name: str) -> object:
        self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_hints_are_the_same_for_every_step(job: Job, tmp_path: Path) -> None:
    proto = proto_of(job, tmp_path, 32, ENGINE.flags)
    steps = [t for t in proto.components.transforms.values() if t.spec.urn == PARDO]
    (environment,) = {step.environment_id for step in steps}
    found = proto.components.environments[environment].resource_hints
    assert found["beam:resources:accelerator:v1"].startswith(b"type:nvidia-tesla-t4;count:1")
    assert found["beam:resources:min_ram_bytes:v1"] == str(3 * 2**30).encode()


@pytest.mark.parametrize("wanted", [True, False])
def test_stages_that_a_run_does_not_want_are_not_there(tmp_path: Path, wanted: bool) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    build_predict(pipeline, Plan(str(tmp_path), "none", 1, 1), tmp_path, refine=wanted)
    names = {t.unique_name for t in pipeline.to_runner_api().components.transforms.values()}
    assert ("Refine bodies" in names) == wanted
