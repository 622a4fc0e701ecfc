"""Publishing a shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hierprob3d.configs.prediction import (
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.transforms.batch.batches import Batch, DrawnPicture
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction import publishing
from hierprob3d.transforms.prediction.dofns import Publish
from hierprob3d.transforms.prediction.publishing import RunContext
from hierprob3d.transforms.store.file_names import picture_name
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.shard_publisher import RunGivenUp
from hierprob3d.transforms.tables.schema import PeopleLayout

ITEM = picture_item("/a/b.png")


@pytest.fixture
def publish(tmp_path: Path) -> Iterator[Publish]:
    config = PredictConfig(
        source=SourceConfig(inputs=("/a",)),
        models=ModelsConfig(),
        sampling=SamplingConfig(),
        refinement=RefinementConfig(),
        run=RunConfig(output=str(tmp_path)),
    )
    store = OutputFolder(str(tmp_path))
    store.create()
    lock = store.lock_for_run("run")
    context = RunContext(
        run_id="run", config=config, layout=PeopleLayout(num_vertices=3), body_metadata={}
    )
    dofn = Publish(context)
    dofn.setup()
    yield dofn
    dofn.teardown()
    lock.release()


def test_a_picture_that_cannot_be_written_is_an_error_row(publish: Publish) -> None:
    names = [picture_name(ITEM, "person0-crop"), "x" * 300]
    pictures = [DrawnPicture(ITEM, name, b"jpeg") for name in names]
    assert list(publish.process(Batch([Frame(ITEM, None)], pictures=pictures))) == [1]
    assert publish.store.names("pictures") == names[:1]
    (row,) = publish.store.read_part("errors/part-run-00000.parquet").to_pylist()
    assert (row["item_id"], row["stage"], row["error"]) == (ITEM.item_id, "draw", "OSError")
    assert "File name too long" in row["message"]


def test_a_shard_is_published_with_its_last_batch(publish: Publish) -> None:
    others = [picture_item(f"/a/{number}.png") for number in range(2)]
    first = Batch([Frame(others[0], None)], shard="00007", is_last=False)
    last = Batch([Frame(others[1], None)], shard="00007", number=1)
    assert list(publish.process(first)) == [] and publish.store.parts("frames") == []
    assert list(publish.process(last)) == [2]
    publish.finish_bundle()
    assert publish.store.parts("frames") == ["frames/part-run-00007.parquet"]
    finished = [item.item_id for item in publish.store.finished_items()]
    assert finished == [item.item_id for item in others]


def test_batches_of_a_divided_shard_are_parts_of_their_own(publish: Publish) -> None:
    list(publish.process(Batch([Frame(ITEM, None)], shard="00007", number=3, is_last=False)))
    publish.finish_bundle()
    assert publish.store.parts("frames", "run") == ["frames/part-run-0000700003.parquet"]


def test_a_forgotten_worker_publishes_nothing(publish: Publish) -> None:
    publish.publisher.run_id = "an earlier run"
    with pytest.raises(RunGivenUp, match="an earlier run does not hold"):
        list(publish.process(Batch([Frame(ITEM, None)])))
    assert publish.store.parts("frames") == [] == publish.store.parts("errors")


def test_names_of_pictures_fit_any_disk() -> None:
    name = picture_name(picture_item("/a/" + "走" * 80 + ".png"), "person0-samples")
    assert name.startswith("走" * 26 + "-") and len(name.encode()) < 120


def test_what_takes_long_is_published_before_its_shard_is_complete(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [picture_item(f"/a/{number}.png") for number in range(5)]

    def batch(number: int, is_last: bool = False) -> Batch:
        found = Batch([Frame(items[number], None)], shard="00007", number=number, is_last=is_last)
        found.clock.add("detect", 2.0)
        return found

    monkeypatch.setattr(publishing, "MOST_SECONDS", 3.5)
    assert list(publish.process(batch(0))) == list(publish.process(batch(1))) == []
    publish.context = replace(publish.context, may_divide=True)
    publish.waiting.clear()
    counts = [list(publish.process(batch(number, number == 4))) for number in range(5)]
    assert counts == [[], [2], [], [2], [1]]
    names = ["part-run-00007.parquet", "part-run-0000700000.parquet", "part-run-0000700002.parquet"]
    assert publish.store.parts("frames") == [f"frames/{name}" for name in names]
    finished = {item.item_id for item in publish.store.finished_items()}
    assert finished == {item.item_id for item in items}
