"""What passes from stage to stage: a batch of frames with the people found in them so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.transforms.inputs.items import Frame, Item

from .clock import StageClock
from .isolation import Columns, Failure, People, run_stage


@dataclass(frozen=True)
class DrawnPicture:
    """An encoded picture of the results of one frame."""

    item: Item
    name: str
    data: bytes


@dataclass
class Batch:
    """Some frames of a shard, together at most a few dozen megapixels; stages add to it."""

    frames: list[Frame]
    detections: dict[int, Detections] = field(default_factory=dict)
    """Boxes by place of the frame among the decoded ones, where detection succeeded."""

    people: People = field(default_factory=People)
    """Those who came through all stages so far, with the columns that these made."""

    failures: list[Failure] = field(default_factory=list)
    pictures: list[DrawnPicture] = field(default_factory=list)
    clock: StageClock = field(default_factory=StageClock)
    """Time spent on this batch, by stage."""

    shard: str = "00000"
    """Name of the shard that the frames are of."""

    number: int = 0
    """Place of the batch in its shard."""

    is_last: bool = True
    """Whether the shard ends with it."""

    gender: str | None = None
    """Whose body model its people have; None: that of the run."""

    body_metadata: dict[str, str] = field(default_factory=dict)
    """What its people's part says of that body model, where it is not the run's."""

    @property
    def decoded(self) -> list[Frame]:
        """Frames with a picture; the people's column `frame` counts among these."""
        return [frame for frame in self.frames if frame.image is not None]

    @property
    def images(self) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 RGB of the decoded frames."""
        return [frame.image for frame in self.frames if frame.image is not None]

    @property
    def num_bytes(self) -> int:
        """Memory that pictures and columns take."""
        columns = sum(c.numel() * c.element_size() for c in self.people.columns.values())
        return columns + sum(image.nbytes for image in self.images)

    def add(
        self, stage: str, function: Callable[[People], Columns], may_be_nan: tuple[str, ...] = ()
    ) -> None:
        """Gives the people the columns that the function makes of them; see `run_stage`."""
        self.people = run_stage(stage, function, self.people, self.failures, may_be_nan)
