"""What earlier runs finished of the inputs, where these are parts of archives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hierprob3d.configs.prediction import PredictConfig, RunConfig, SourceConfig
from hierprob3d.pipelines.run.earlier_rows import finished_inputs, noting_dropped
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.inputs.items import Frame, Shard, picture_item
from hierprob3d.transforms.inputs.listing import Listing
from hierprob3d.transforms.inputs.planning import Planner
from hierprob3d.transforms.inputs.sources import Source, SourceList
from hierprob3d.transforms.inputs.uris import member_uri
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.rows import frames_table
from hierprob3d.transforms.tables.schema import frames_schema

TAR = "/data/a.tar"
MEMBER = picture_item(member_uri(TAR, "0.jpg"), "version 1")
DAMAGE = picture_item(TAR, "version 1")
"""What was wrong with the archive: an item of its own."""


@pytest.fixture
def store(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(str(tmp_path))
    folder.create()
    frames = [Frame(item, None) for item in (MEMBER, DAMAGE, picture_item("/other.jpg"))]
    table = frames_table(frames, People(), [], 0.0, frames_schema(), "run")
    folder.write_table("frames/part-run-00000.parquet", table)
    return folder


@pytest.mark.parametrize("beside", [(), (Source(MEMBER.uri),)], ids=["alone", "with a member"])
@pytest.mark.parametrize("version", ["version 1", "version 2"])
def test_members_are_finished_as_long_as_their_archive_stays(
    store: OutputFolder, version: str, beside: tuple[Source, ...]
) -> None:
    config = PredictConfig(source=SourceConfig(inputs=(TAR,)), run=RunConfig(output=store.root))
    sources = SourceList([Source(TAR, version), *beside])
    found = finished_inputs(config, store, Listing(sources))
    changed = set() if version == "version 1" else {MEMBER.item_id, DAMAGE.item_id}
    assert found.num_items == 2 and found.redo == found.changed == changed


def test_what_was_wrong_with_an_archive_goes_when_its_members_are_done_again() -> None:
    shard = Shard(0, (replace(MEMBER, source_version="version 2"),), {"tar_offset": 0})
    dropped = set[str]()
    planner = cast(Planner, SimpleNamespace(shards=lambda: iter([shard]), left_out=set()))
    list(noting_dropped(planner, {MEMBER.item_id, DAMAGE.item_id}, dropped))
    assert dropped == {MEMBER.item_id, DAMAGE.item_id}
