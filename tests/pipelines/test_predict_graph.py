"""The job that predict submits: small, of one size, fused behind one shuffle."""

from __future__ import annotations

import base64
import bz2
import io
import pickle
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, translations

from hierprob3d.configs.prediction import (
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.pipelines.prediction_graph import build
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction.publishing import RunContext
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan, PlanWriter
from hierprob3d.transforms.tables.schema import PeopleLayout

STAGES = ("Decode", "Detect people", "Find keypoints", "Make proxies", "Predict distributions",
          "Place bodies", "Refine bodies", "Sample bodies", "Draw pictures", "Publish")  # fmt: skip


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


def context(output: Path, refine: bool = True, **hints: str) -> RunContext:
    config = PredictConfig(
        source=SourceConfig(inputs=("/a",)),
        models=ModelsConfig(),
        sampling=SamplingConfig(),
        refinement=RefinementConfig(refine=refine),
        run=RunConfig(output=str(output), visualise=frozenset({"crops"})),
    )
    return RunContext(run_id="run", config=config, layout=PeopleLayout(num_vertices=6880),
                      body_metadata={}, resource_hints=hints)  # fmt: skip


def proto_of(output: Path, num_items: int) -> beam.pipeline.beam_runner_api_pb2.Pipeline:
    store = OutputFolder(str(output))
    store.create()
    with PlanWriter(store, "run") as writer:
        for start in range(0, num_items, 32):
            writer.add([picture_item(f"/{i}.jpg") for i in range(start, start + 32)])
    return graph(writer.plan(), context(output)).to_runner_api()


def graph(plan: Plan, run: RunContext) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    build(pipeline, plan, run)
    return pipeline


def test_the_graph_does_not_grow_with_the_inputs(tmp_path: Path) -> None:
    few, many = (proto_of(tmp_path / str(n), n).ByteSize() for n in (32, 32_000))
    assert many - few < 200 and many < 500_000


def test_all_stages_are_one_behind_one_shuffle(tmp_path: Path) -> None:
    proto = proto_of(tmp_path, 32)
    context, stages = translations.create_and_optimize_stages(
        proto,
        phases=[translations.annotate_downstream_side_inputs,
                translations.fix_side_input_pcoll_coders, translations.pack_combiners,
                translations.lift_combiners, translations.expand_sdf,
                translations.expand_gbk, translations.sink_flattens,
                translations.greedily_fuse, translations.read_to_impulse,
                translations.impulse_to_input],
        known_runner_urns=frozenset(), use_state_iterables=False)  # fmt: skip
    assert context and fn_runner
    holding = [stage for stage in stages if "Decode" in {t.unique_name for t in stage.transforms}]
    assert len(holding) == 1
    names = {transform.unique_name for transform in holding[0].transforms}
    assert set(STAGES) <= names


def test_flink_and_spark_know_all_that_is_submitted(tmp_path: Path) -> None:
    proto = proto_of(tmp_path, 32)
    steps = proto.components.transforms.values()
    # What makes no new collection, such as the reshuffle that `Create` leaves out, is passed over.
    leaves = [
        step
        for step in steps
        if not step.subtransforms and set(step.outputs.values()) - set(step.inputs.values())
    ]
    assert {step.spec.urn for step in leaves} <= TRANSLATED | {PARDO}
    reshuffles = [step for step in steps if step.spec.urn == "beam:transform:reshuffle:v1"]
    assert len(reshuffles) == 1 and not list(proto.requirements)
    for step in leaves:
        if step.spec.urn == PARDO:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
            assert not payload.side_inputs and not payload.state_specs
            assert not payload.timer_family_specs and not payload.restriction_coder_id
            assert not payload.requests_finalization


def test_our_steps_are_pickled_by_their_public_names(tmp_path: Path) -> None:
    proto = proto_of(tmp_path, 32)
    by_name = {step.unique_name: step for step in proto.components.transforms.values()}
    for name in (*STAGES, "List shards"):
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


def test_hints_reach_every_stage(tmp_path: Path) -> None:
    accelerator = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    pipeline = graph(Plan(str(tmp_path), "runs/run.plan.parquet", 1, 1),
                     context(tmp_path, min_ram="3GiB", accelerator=accelerator))  # fmt: skip
    proto = pipeline.to_runner_api()
    by_name = {t.unique_name: t for t in proto.components.transforms.values()}
    for name in STAGES:
        hints = proto.components.environments[by_name[name].environment_id].resource_hints
        assert hints["beam:resources:accelerator:v1"] == accelerator.encode()
        assert hints["beam:resources:min_ram_bytes:v1"] == str(3 * 2**30).encode()


@pytest.mark.parametrize("wanted", [True, False])
def test_stages_that_a_run_does_not_want_are_not_there(tmp_path: Path, wanted: bool) -> None:
    pipeline = graph(Plan(str(tmp_path), "none", 1, 1), context(tmp_path, refine=wanted))
    names = {t.unique_name for t in pipeline.to_runner_api().components.transforms.values()}
    assert ("Refine bodies" in names) == wanted
