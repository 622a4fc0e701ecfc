"""What earlier runs left in the output folder, and whether a run may add its rows to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.inputs.items import Shard, picture_item
from hierprob3d.transforms.inputs.listing import Listing
from hierprob3d.transforms.inputs.planning import Planner
from hierprob3d.transforms.inputs.sources import KnownVersions
from hierprob3d.transforms.inputs.uris import archive_of
from hierprob3d.transforms.store.output_folder import RUNS, TABLES, FinishedItem, OutputFolder
from hierprob3d.transforms.tables.schema import STATUS_FAILED, PeopleLayout, people_schema

from .manifest import read_manifest
from .row_settings import MENDS, runs_that_stay


@dataclass
class FinishedInputs:
    """What earlier runs finished of the inputs."""

    num_items: int = 0
    num_failed: int = 0
    """Items that failed as a whole."""

    changed: set[str] = field(default_factory=set)
    """Ids of items whose source is another than the one that was read."""

    redo: set[str] = field(default_factory=set)
    """Ids of all items that count as not done in this run, the changed ones among them."""


def finished_inputs(config: PredictConfig, store: OutputFolder, listing: Listing) -> FinishedInputs:
    """What is finished of the inputs, and what of it this run is to do again."""
    found = FinishedInputs()
    if not store.parts("frames"):
        return found
    versions = KnownVersions(listing.sources)
    retried = store.failed_items() if config.run.retry_failed else set()
    for item in store.finished_items():
        is_changed = _is_changed(item, versions)
        if is_changed is None:
            continue
        found.num_items += 1
        found.num_failed += item.status == STATUS_FAILED
        if is_changed:
            found.changed.add(item.item_id)
        if config.run.overwrite or item.item_id in retried:
            found.redo.add(item.item_id)
    found.redo |= found.changed
    return found


def _is_changed(item: FinishedItem, versions: KnownVersions) -> bool | None:
    """Whether the item's file, or the archive that it is in, is another now; None if not there."""
    is_changed = versions.check(item.name, item.source_version)
    archive = None if is_changed else archive_of(item.name)
    by_archive = None if archive is None else versions.check(archive, item.source_version)
    return is_changed if by_archive is None else by_archive  # a member has its archive's version


def noting_dropped(planner: Planner, redo: Collection[str], dropped: set[str]) -> Iterator[Shard]:
    """The planner's shards as they come; those of `redo` that they do again go to `dropped`.

    --limit may leave others for later. A video that could not be read is one item in all, and so is
    what was wrong with an archive; frames and members take its place. Frames that the rules do not
    choose any more go with those that take their place.
    """
    for shard in planner.shards():
        if redo:
            whole = [picture_item(shard.container)] if shard.container else []
            dropped.update(i.item_id for i in (*shard.items, *whole) if i.item_id in redo)
        yield shard
    dropped |= planner.left_out


def check_writable(store: OutputFolder) -> None:
    """Raise UsageError where the output folder could not be written to; writes nothing."""
    if not store.is_local:
        return
    for name in (*TABLES, RUNS):
        path = Path(store.root, name)
        while not path.exists():
            path = path.parent
        if not path.is_dir():
            raise UsageError(f"{path}: Not a directory.")
        if not os.access(path, os.W_OK | os.X_OK):
            raise UsageError(f"{path}: Permission denied.")


def with_earlier_spread(
    config: PredictConfig, store: OutputFolder, dropped: Collection[str]
) -> PredictConfig:
    """The configuration, with the spread of vertices saved if rows of schema 1 that stay have it.

    Schema 1 always saved it, so that the command which began such a folder does not name it.

    Args:
        config: This run's.
        store: The output folder.
        dropped: Ids of the items whose rows go.
    """
    sampling = config.sampling
    part = _part_that_stays(store, dropped)
    if part is None or not sampling.uncertainty or "vertex_spread" in sampling.save:
        return config
    if "vertex_spread_m" not in store.read_schema(part).names:
        return config
    manifests = (read_manifest(store, run) for run in runs_that_stay(store, dropped))
    if not any(manifest.get("schema_version") == "1" for manifest in manifests):
        return config
    return replace(config, sampling=replace(sampling, save=sampling.save | {"vertex_spread"}))


def tell_earlier_spread(store: OutputFolder) -> None:
    """Says that new rows get a column which the command does not name."""
    print(
        f"note: {store.root} has rows of an earlier version with vertex_spread_m; new rows get it "
        "too, as with --save vertex_spread.",
        file=sys.stderr,
    )


def check_columns(store: OutputFolder, layout: PeopleLayout, dropped: Collection[str]) -> None:
    """Raise UsageError if rows that stay have other columns: no reader could read both together.

    Args:
        store: The output folder.
        layout: Columns of the new rows.
        dropped: Ids of the items whose rows go.
    """
    part = _part_that_stays(store, dropped)
    if part is None:
        return
    found, wanted = store.read_schema(part), people_schema(layout)
    differing = [f.name for f in wanted if f.name not in found.names or found.field(f.name) != f]
    differing += [name for name in found.names if name not in wanted.names]
    if differing:
        raise UsageError(
            f"{store.root} holds people with other columns ({', '.join(differing[:4])}), from "
            "another --save, or of a run whose record in runs/ is not there: "
            f"{MENDS}."
        )


def tell_other_seeds(store: OutputFolder, seed: int, dropped: Collection[str]) -> None:
    """Says so if rows that stay have another seed: their column tells them apart.

    Args:
        store: The output folder.
        seed: Of this run.
        dropped: Ids of the items whose rows go.
    """
    manifests = (read_manifest(store, run) for run in runs_that_stay(store, dropped))
    seeds = {m.get("config", {}).get("sampling", {}).get("seed", seed) for m in manifests}
    if seeds - {seed}:
        print(
            f"warning: earlier rows have --seed {', '.join(map(str, sorted(seeds)))}, new ones "
            f"{seed}; the column seed tells them apart.",
            file=sys.stderr,
        )


def _part_that_stays(store: OutputFolder, dropped: Collection[str]) -> str | None:
    """The last people part of a finished shard of which a row stays."""
    finished = {os.path.basename(name) for name in store.parts("frames")}
    for name in reversed(store.parts("people")):
        if os.path.basename(name) not in finished:
            continue
        if not dropped:
            return name
        if not set(store.read_part(name, ["item_id"])["item_id"].to_pylist()) <= set(dropped):
            return name
    return None
