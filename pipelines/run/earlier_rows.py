"""What earlier runs left in the output folder, and whether a run may add its rows to it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.batch.model_facts import ModelFacts
from hierprob3d.transforms.inputs.items import Shard, picture_item
from hierprob3d.transforms.inputs.listing import Listing
from hierprob3d.transforms.inputs.planning import Planner
from hierprob3d.transforms.inputs.sources import KnownVersions
from hierprob3d.transforms.inputs.uris import archive_of
from hierprob3d.transforms.store.output_folder import RUNS, TABLES, FinishedItem, OutputFolder
from hierprob3d.transforms.tables.schema import STATUS_FAILED, PeopleLayout, people_schema

_MENDS = "choose another --output, --overwrite all of it, or give the options of the earlier run"


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
    archive = archive_of(item.name) if is_changed is None else None
    return is_changed if archive is None else versions.check(archive, item.source_version)


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
    manifests = (_read_manifest(store, run) for run in _runs_that_stay(store, dropped))
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
            "other weights, body model, --num-samples, --save, --refine, --no-uncertainty or "
            "--drop-intersecting: "
            f"{_MENDS}."
        )


def check_models(
    store: OutputFolder, config: PredictConfig, models: ModelFacts, dropped: Collection[str]
) -> None:
    """Raise UsageError if rows that stay were made with other models, or refined otherwise.

    So also if with another known height; another seed only warns.

    Args:
        store: The output folder.
        config: This run's.
        models: This run's.
        dropped: Ids of the items whose rows go.
    """
    runs = sorted(_runs_that_stay(store, dropped))
    hashes = {part: file["sha256"] for part, file in models.files.items()}
    seeds = set[int]()
    for run in runs:
        manifest = _read_manifest(store, run)
        differing = _differing_models(manifest, hashes, models.body_gender)
        if differing:
            raise UsageError(
                f"{store.root} holds rows of run {run} with other models "
                f"({', '.join(differing)}): {_MENDS}."
            )
        _check_keypoint_error(store, config, run, manifest)
        _check_known_height(store, config, run, manifest)
        seeds.add(manifest.get("config", {}).get("sampling", {}).get("seed", config.sampling.seed))
    if seeds - {config.sampling.seed}:
        print(
            f"warning: earlier rows have --seed {', '.join(map(str, sorted(seeds)))}, new ones "
            f"{config.sampling.seed}; the column seed tells them apart.",
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


def _runs_that_stay(store: OutputFolder, dropped: Collection[str]) -> set[str]:
    """Ids of runs of which a finished item stays."""
    runs = set[str]()
    for _, table in store.read_parts(store.parts("frames"), ["item_id", "run_id"]):
        rows = table.to_pydict()
        pairs = zip(rows["item_id"], rows["run_id"], strict=True)
        runs.update(run for item, run in pairs if item not in dropped)
    return runs


def _check_keypoint_error(
    store: OutputFolder, config: PredictConfig, run: str, manifest: Mapping[str, Any]
) -> None:
    """Raise UsageError if the run's bodies were refined with another `keypoint_error`."""
    new, old = config.refinement, manifest.get("config", {}).get("refinement", {})
    error = old.get("keypoint_error", new.keypoint_error)
    if new.refine and old.get("refine") and error != new.keypoint_error:
        raise UsageError(
            f"{store.root} holds rows of run {run} with --keypoint-error {error}, this run has "
            f"{new.keypoint_error}: {_MENDS}."
        )


def _check_known_height(
    store: OutputFolder, config: PredictConfig, run: str, manifest: Mapping[str, Any]
) -> None:
    """Raise UsageError if the run knew another height of everybody: rows do not say so."""
    if "config" not in manifest:
        return
    heights = (manifest["config"].get("source", {}).get("known_height"), config.source.known_height)
    old, new = ("without --known-height" if height is None else f"with --known-height {height:g}"
                for height in heights)  # fmt: skip
    if old != new:
        raise UsageError(
            f"{store.root} holds rows of run {run} {old}, this run is {new}: {_MENDS}."
        )


def _read_manifest(store: OutputFolder, run: str) -> dict[str, Any]:
    """The run's record; empty if somebody removed it."""
    try:
        return json.loads(store.read(f"{RUNS}/{run}.json"))
    except FileNotFoundError:
        return {}


def _differing_models(
    manifest: Mapping[str, Any], hashes: Mapping[str, str], gender: str
) -> list[str]:
    """What this run has other than that of a manifest, by option, with what the manifest says."""
    files, options = manifest.get("model_files", {}), manifest.get("config", {}).get("models", {})
    differing = []
    for part in ("weights", "body_model"):
        file = files.get(part, {})
        if file.get("sha256", hashes[part]) != hashes[part]:
            option = part.replace("_", "-")
            differing.append(f"--{option} was {file['path']}, SHA-256 {file['sha256'][:12]}...")
    if options.get("gender", gender) != gender:
        differing.append(f"--gender was {options['gender']}")
    return differing
