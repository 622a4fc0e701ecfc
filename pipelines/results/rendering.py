"""Draws the frames of a unit from stored rows and the inputs, with the stages of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from hierprob3d.configs.run_results import RenderConfig
from hierprob3d.model.picture.drawing import Picture, shrink_to
from hierprob3d.model.picture.overlays import add_spread_legend
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.decoding import FrameReader
from hierprob3d.transforms.prediction.drawn_pictures import (
    MAX_UNCROPPED_SIDE,
    colours_of,
    draw_uncropped,
)
from hierprob3d.transforms.prediction.recorded_people import draw_recorded, place_recorded
from hierprob3d.transforms.store.file_names import readable_stem, short_id
from hierprob3d.transforms.store.output_folder import PICTURES, OutputFolder

from .recorded_groups import RecordedGroup, recorded_groups
from .recorded_models import RecordedModels
from .render_units import RecordedFrames, RenderUnit, recorded_frames
from .run_folder import RunFolder
from .video_writer import VideoWriter

_BATCH_SIZE = 16
_MAX_MEGAPIXELS = 1000.0
"""What the run took is taken again."""

_GROUND = (238, 240, 244)
"""RGB of plain ground."""

_UNCROPPED = frozenset({"uncropped"})


@dataclass
class Drawn:
    """What came of a unit."""

    num_pictures: int = 0
    num_videos: int = 0
    gone: list[str] = field(default_factory=list)
    """URIs of what could not be read any more, or is another picture now."""

    failures: list[str] = field(default_factory=list)
    """What could not be drawn, in words."""


class Renderer:
    """Draws units, one after the other.

    Args:
        config: What `render` was told.
    """

    def __init__(self, config: RenderConfig) -> None:
        self._config = config
        self._folder = RunFolder(config.folder)
        self._models = RecordedModels(self._folder, config.body_model)
        self._output = OutputFolder(config.output or f"{config.folder.rstrip('/')}/{PICTURES}")

    def draw(self, unit: RenderUnit) -> Drawn:
        """Draws and writes all pictures of a unit.

        Raises:
            OSError: They cannot be written.
        """
        kinds, drawn = self._config.visualise, Drawn()
        if unit.video is None or "uncropped" not in kinds:
            self._draw_frames(unit, kinds, drawn)
            return drawn
        name = f"{readable_stem(unit.video)}-{short_id(picture_item(unit.video).item_id)}-video.mp4"
        path = self._output.temporary_file(name)
        try:
            with VideoWriter(path) as writer:
                pictures = kinds if self._config.frames else kinds - _UNCROPPED
                self._draw_frames(unit, pictures, drawn, writer)
            if writer.has_frames:
                self._output.publish_file(name, path)
                drawn.num_videos += 1
        finally:
            if os.path.exists(path):
                os.remove(path)
        return drawn

    def _draw_frames(
        self,
        unit: RenderUnit,
        kinds: frozenset[str],
        drawn: Drawn,
        writer: VideoWriter | None = None,
    ) -> None:
        every_frame = writer is not None
        frames = recorded_frames(self._folder, unit, self._config.uri, every_frame)
        groups = recorded_groups(self._folder, unit, self._models)
        for found in self._found(frames, drawn):
            batches = [self._draw_batch(group, found, kinds, drawn) for group in groups]
            if writer is not None:
                _add_to_video(found, groups, batches, writer)

    def _found(self, frames: RecordedFrames, drawn: Drawn) -> Iterator[list[Frame]]:
        """Some frames at a time, those that are gone as plain ground."""
        for batch in FrameReader(_MAX_MEGAPIXELS).batches(frames.shard, _BATCH_SIZE):
            found = []
            for frame in batch.frames:
                width, height = frames.sizes[frame.item.item_id]
                if frame.image is None or frame.image.shape[:2] != (height, width):
                    if frame.item.uri not in drawn.gone:
                        drawn.gone.append(frame.item.uri)
                    frame = replace(frame, image=_plain(width, height), error=None)
                found.append(frame)
            yield found

    def _draw_batch(
        self, group: RecordedGroup, frames: list[Frame], kinds: frozenset[str], drawn: Drawn
    ) -> Batch:
        """The people of a group in some frames, with their meshes; their pictures are written."""
        batch = group.batch(frames)
        wanted = kinds or _UNCROPPED
        config = group.config(wanted, self._config.picture_format)
        if kinds:
            draw_recorded(batch, group.models, config)
        else:
            place_recorded(batch, group.models, config)
        for picture in batch.pictures:
            self._output.write(picture.name, picture.data)
        drawn.num_pictures += len(batch.pictures)
        drawn.failures += [
            f"{failure.item.name}: {failure.stage}: {failure.error}" for failure in batch.failures
        ]
        return batch


def _add_to_video(
    frames: list[Frame], groups: list[RecordedGroup], batches: list[Batch], writer: VideoWriter
) -> None:
    """Every frame with whoever is in it."""
    coloured = any(group.sampling.uncertainty for group in groups)
    for frame in frames:
        picture = None
        for group, batch in zip(groups, batches, strict=True):
            rows = [row for row, item in enumerate(batch.people.items) if item == frame.item]
            if rows:
                people = batch.people.select(rows)
                picture = draw_uncropped(frame, people, group.models, colours_of(people))
        if picture is None:
            picture = _without_people(frame, coloured)
        writer.add(picture, frame.item.time_s or 0.0)


def _without_people(frame: Frame, with_legend: bool) -> Picture:
    assert frame.image is not None, "frames that are gone are plain ground"
    picture, _ = shrink_to(frame.image, MAX_UNCROPPED_SIDE)
    return add_spread_legend(picture) if with_legend else picture


def _plain(width: int, height: int) -> Picture:
    return np.full((height, width, 3), _GROUND, np.uint8)
