"""The dataflow of a prediction: shards of the plan, annotated and published by any worker."""

from __future__ import annotations

import apache_beam as beam

from hierprob3d.transforms.prediction.dofns import (
    Decode,
    DetectPeople,
    DrawPictures,
    FindKeypoints,
    MakeProxies,
    PlaceBodies,
    PredictDistributions,
    Publish,
    RefineBodies,
    SampleBodies,
)
from hierprob3d.transforms.prediction.publishing import RunContext
from hierprob3d.transforms.store.list_shards import ListShards
from hierprob3d.transforms.store.plan import Plan


def build(pipeline: beam.Pipeline, plan: Plan, context: RunContext) -> None:
    """Adds the dataflow of a plan to a pipeline.

    One shuffle, which hands out references of tens of bytes; all after it is fused, so that
    batches pass from stage to stage as they are, one at a time, and what is finished is in the
    output folder at once.
    """

    def stage(of: type[beam.DoFn]) -> beam.PTransform:
        return beam.ParDo(of(context))

    shards = (
        pipeline
        | "Plan" >> beam.Create([plan], reshuffle=False)
        | "List shards" >> beam.ParDo(ListShards())
        | "Any worker" >> beam.Reshuffle()
    )
    batches = (
        shards
        | "Decode" >> stage(Decode)
        | "Detect people" >> stage(DetectPeople)
        | "Find keypoints" >> stage(FindKeypoints)
        | "Make proxies" >> stage(MakeProxies)
        | "Predict distributions" >> stage(PredictDistributions)
        | "Place bodies" >> stage(PlaceBodies)
    )
    if context.config.refinement.refine:
        batches |= "Refine bodies" >> stage(RefineBodies)
    if context.config.sampling.uncertainty:
        batches |= "Sample bodies" >> stage(SampleBodies)
    if context.config.run.visualise:
        batches |= "Draw pictures" >> stage(DrawPictures)
    _ = batches | "Publish" >> stage(Publish)
