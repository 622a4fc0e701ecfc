"""The job that predict submits: small, of one size, fused behind one shuffle."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
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
