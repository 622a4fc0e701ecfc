"""A picture that cannot be drawn costs nobody else anything."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hierprob3d.configs.prediction import PredictConfig, RunConfig, SourceConfig
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction import stages


def test_a_frame_that_cannot_be_drawn_is_a_failure_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw(frame: Frame, people: People, *_: object) -> list[tuple[str, list[int]]]:
        if frame.item.uri == "/1.jpg":
            raise RuntimeError("no paint")
        return [(frame.item.uri, people.person_indices)]

    monkeypatch.setattr(stages, "draw_frame", draw)
    items = [picture_item(f"/{number}.jpg") for number in range(3)]
    batch = Batch([Frame(item, np.zeros((4, 4, 3), np.uint8)) for item in items])
    of_person = [0, 1, 2, 2]
    batch.people = People(
        [items[place] for place in of_person], [0, 0, 0, 1], {"frame": torch.tensor(of_person)}
    )
    config = PredictConfig(
        source=SourceConfig(inputs=("/",)),
        run=RunConfig(output="o", visualise=frozenset({"crops"})),
    )
    stages.DRAW.run(batch, SimpleNamespace(device=torch.device("cpu")), config)
    assert batch.pictures == [("/0.jpg", [0]), ("/2.jpg", [0, 1])]
    [failure] = batch.failures
    assert (failure.item, failure.person_index, failure.stage) == (items[1], None, "draw")
    assert len(batch.people) == 4
