"""The DoFns of prediction, each thin around a function without Beam.

`RunInference` and `ModelHandler` of Beam are not used: their dead letters are whole batches, where
here a failure costs one person, and one handler holds one model, where several stages need the
body and the networks of one `Models`. That is loaded once per process, for all its threads.
"""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from hierprob3d.transforms.batch import batch_coder  # noqa: F401 - registers the coder of batches
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.models import load_models, use_threads
from hierprob3d.transforms.store.marks import begin_shard
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import ShardRef
from hierprob3d.transforms.store.publishing_dofn import PublishingDoFn

from . import stages
from .publishing import RunContext, ShardTables
from .shard_worker import frame_reader, item_watch


class Decode(beam.DoFn):
    """ShardRef -> batches of its frames, one in memory at a time."""

    def __init__(self, context: RunContext) -> None:
        self.context = context

    def setup(self) -> None:
        """Opens the output folder, where the plan lies."""
        self.store = OutputFolder(self.context.config.run.output)
        self.reader = frame_reader(self.context, item_watch(self.context))

    def process(self, ref: ShardRef) -> Iterator[Batch]:
        """Frames are decoded as the stages that follow ask for them."""
        shard = begin_shard(self.store, ref, self.context.run_id)
        yield from self.reader.batches(shard, self.context.config.run.batch_size)


class _Stage(beam.DoFn):
    """Batch -> the same batch with what one stage found."""

    stage: stages.Stage

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.people = Metrics.counter(self.stage.name, "people")
        self.milliseconds = Metrics.counter(self.stage.name, "milliseconds")

    def setup(self) -> None:
        """Loads the models, once per process."""
        use_threads(self.context.num_threads)
        self.models = load_models(self.context.config.models)
        self.watch = item_watch(self.context)

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The stage's work on one batch."""
        with self.watch.watching([frame.item for frame in batch.decoded], batch.shard):
            self.stage.run(batch, self.models, self.context.config)
        self.people.inc(len(batch.people))
        self.milliseconds.inc(round(1000 * batch.clock.seconds[self.stage.name]))
        yield batch


class DetectPeople(_Stage):
    """Frames -> boxes."""

    stage = stages.DETECT


class FindKeypoints(_Stage):
    """Boxes -> people with COCO keypoints."""

    stage = stages.KEYPOINTS


class MakeProxies(_Stage):
    """Crops and keypoints -> edges and heatmaps."""

    stage = stages.PROXIES


class PredictDistributions(_Stage):
    """Proxies -> matrix-Fisher parameters, shape Gaussian, global rotation, camera."""

    stage = stages.DISTRIBUTIONS


class PlaceBodies(_Stage):
    """Distributions -> bodies of the modes, joints, measurements."""

    stage = stages.BODIES


class RefineBodies(_Stage):
    """Distributions and keypoints -> bodies moved onto the keypoints."""

    stage = stages.REFINED


class SampleBodies(_Stage):
    """Distributions -> samples, their spread and order."""

    stage = stages.SAMPLES


class DrawPictures(_Stage):
    """Bodies -> pictures of them."""

    stage = stages.DRAW


class Publish(PublishingDoFn):
    """Batches of a shard -> number of its frames, once all is in the output folder."""

    def __init__(self, context: RunContext) -> None:
        super().__init__(context.config.run.output, context.run_id)
        self.context = context
        self.frames = Metrics.counter("publish", "frames")

    def setup(self) -> None:
        """Opens the output folder."""
        super().setup()
        self.waiting: dict[str, ShardTables] = {}

    def process(self, batch: Batch) -> Iterator[int]:
        """Keeps the batch's rows; publishes the shard with its last batch, or what took long."""
        tables = self.waiting.setdefault(batch.shard, ShardTables(self.store, self.context))
        tables.add(batch)
        if batch.is_last:
            yield self._publish(batch.shard, batch.shard)
        elif tables.is_due:
            yield self._publish(batch.shard, tables.piece_name(batch.shard))

    def finish_bundle(self) -> None:
        """Publishes batches whose shard did not end here, should a runner ever divide one."""
        for shard, tables in list(self.waiting.items()):
            self._publish(shard, tables.piece_name(shard))

    def _publish(self, shard: str, name: str) -> int:
        count = self.publish(self.waiting.pop(shard).tables(), name)
        self.frames.inc(count)
        return count
