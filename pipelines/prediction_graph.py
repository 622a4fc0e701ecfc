"""The dataflow of a prediction: shards of the plan, annotated and published by any worker."""

from __future__ import annotations

import apache_beam as beam

from hierprob3d.transforms.batch.batches import Batch
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
    output folder at once. Beam is told what passes: by its own guess it would pickle some batches
    to know their size.
    """

    def stage(of: type[beam.DoFn]) -> beam.PTransform:
        return beam.ParDo(of(context))

    def of_batches(dofn: type[beam.DoFn]) -> beam.PTransform:
        return stage(dofn).with_output_types(Batch)

    shards = (
        pipeline
        | "Plan" >> beam.Create([plan], reshuffle=False)
        | "List shards" >> beam.ParDo(ListShards())
        | "Any worker" >> beam.Reshuffle()
    )
    batches = (
        shards
        | "Decode" >> of_batches(Decode)
        | "Detect people" >> of_batches(DetectPeople)
        | "Find keypoints" >> of_batches(FindKeypoints)
        | "Make proxies" >> of_batches(MakeProxies)
        | "Predict distributions" >> of_batches(PredictDistributions)
        | "Place bodies" >> of_batches(PlaceBodies)
    )
    if context.config.refinement.refine:
        batches |= "Refine bodies" >> of_batches(RefineBodies)
    if context.config.sampling.uncertainty:
        batches |= "Sample bodies" >> of_batches(SampleBodies)
    if context.config.run.visualise:
        batches |= "Draw pictures" >> of_batches(DrawPictures)
    _ = batches | "Publish" >> stage(Publish)
