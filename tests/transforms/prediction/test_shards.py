"""Publishing a shard."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa

from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction.drawn_pictures import DrawnPicture
from hierprob3d.transforms.prediction.shards import PublishShard, ShardResult
from hierprob3d.transforms.store.file_names import picture_name
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import errors_schema, frames_schema


def test_a_picture_that_cannot_be_written_is_an_error_row(tmp_path: Path) -> None:
    item = picture_item("/a/b.png")
    names = [picture_name(item, "person0-crop"), "x" * 300]
    frames = pa.Table.from_pylist([{"item_id": item.item_id, "status": "ok"}], frames_schema())
    empty = errors_schema().empty_table()
    result = ShardResult(
        "00000",
        {"people": frames, "errors": empty, "frames": frames},
        [DrawnPicture(item, name, b"jpeg") for name in names],
    )
    publish = PublishShard(SimpleNamespace(run_id="run"))  # type: ignore[arg-type]
    publish.store = OutputFolder(str(tmp_path))
    assert list(publish.process(result)) == [1]
    assert publish.store.names("pictures") == names[:1]
    (row,) = publish.store.read_part("errors/part-run-00000.parquet").to_pylist()
    assert (row["item_id"], row["stage"], row["error"]) == (item.item_id, "draw", "OSError")
    assert "File name too long" in row["message"]


def test_names_of_pictures_fit_any_disk() -> None:
    name = picture_name(picture_item("/a/" + "走" * 80 + ".png"), "person0-samples")
    assert name.startswith("走" * 26 + "-") and len(name.encode()) < 120
