"""A plan in parts, DIR/plan/: what many machines do each a part of, without a word to each other.

`plan.json` says what is to be done and with which options, and is there once all is planned. Beside
it lies one Parquet file with the items, in which row group g belongs to part g modulo the number of
parts. The row groups are cut for that: each part has several from all over the inputs, so that
parts take about as long as each other, and reads no rows but its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from hierprob3d.transforms.inputs.items import Shard

from .locking import FolderInUse
from .output_folder import PLAN_SUFFIX, RUNS, OutputFolder
from .plan import ROWS_PER_GROUP, Plan, PlanWriter, read_shard, shard_refs, shard_rows

PLAN_FOLDER = "plan"
_FILE = f"{PLAN_FOLDER}/plan.json"
_MIN_GROUPS_PER_PART = 4
"""So many pieces from all over the inputs make up a part, at the least."""


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """What DIR/plan/plan.json holds."""

    plan_id: str
    """Beginning of the ids of all runs that do a part of it; id of the run that they make up."""

    command: str
    """Whose options `config` holds."""

    words: tuple[str, ...]
    """The command's options as they were written."""

    beam_words: tuple[str, ...]
    """Beam's among them, for machines that name no others."""

    config: dict[str, Any]
    model_files: dict[str, dict[str, str]]
    """Path and SHA-256 of each."""

    schema_version: str
    created: str
    items: str
    """The Parquet file, in the output folder."""

    num_shards: int
    items_per_part: tuple[int, ...]
    facts: dict[str, Any]
    """What manifests say besides."""

    @property
    def num_parts(self) -> int:
        """How many machines may work at the same time."""
        return len(self.items_per_part)

    @property
    def num_items(self) -> int:
        """Of all parts."""
        return sum(self.items_per_part)


def cut_plan(
    store: OutputFolder, plan: Plan, plan_id: str, num_parts: int, details: pa.Schema | None
) -> tuple[Plan, tuple[int, ...]]:
    """A run's plan written anew for parts, and how many items each part has.

    Args:
        store: The output folder.
        plan: Of all items.
        plan_id: Of the parted plan.
        num_parts: How many there are to be.
        details: Fields of the details of its shards.
    """
    per_part = max(_MIN_GROUPS_PER_PART, -(-plan.num_items // (num_parts * ROWS_PER_GROUP)))
    num_groups = num_parts * per_part
    items_per_part = [0] * num_parts
    if not plan.num_items:
        return Plan(store.root, "", num_items=0, num_shards=0), tuple(items_per_part)
    current = 0
    writer = PlanWriter(store, plan_id, details, folder=PLAN_FOLDER)
    with writer:
        for rows in shard_rows(store, plan):
            group = writer.num_items * num_groups // plan.num_items
            if group != current:
                writer.end_group()
                current = group
            items_per_part[writer.num_groups % num_parts] += len(rows)
            writer.add_rows(rows)
    return writer.plan(), tuple(items_per_part)


def part_shards(store: OutputFolder, plan: PartPlan, part: int) -> Iterator[Shard]:
    """The shards of one part; no row of another is read."""
    if not plan.items_per_part[part]:
        return iter(())
    whole = Plan(store.root, plan.items, plan.num_items, plan.num_shards)
    refs = shard_refs(store, whole, first_group=part, group_step=plan.num_parts)
    return (read_shard(store, ref) for ref in refs)


def write_part_plan(store: OutputFolder, plan: PartPlan) -> None:
    """Publishes a plan, and removes the items of an earlier one."""
    store.write(_FILE, json.dumps(asdict(plan), indent=2).encode())
    for name in store.names(PLAN_FOLDER):
        if name.endswith(PLAN_SUFFIX) and f"{PLAN_FOLDER}/{name}" != plan.items:
            store.remove(f"{PLAN_FOLDER}/{name}")


def read_part_plan(store: OutputFolder) -> PartPlan | None:
    """The plan of a folder; None where there is none.

    Raises:
        ValueError: It was not written by this version.
    """
    try:
        content = json.loads(store.read(_FILE))
    except FileNotFoundError:
        return None
    try:
        tuples = {name: tuple(content[name]) for name in ("words", "beam_words", "items_per_part")}
        return PartPlan(**{**content, **tuples})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{store.root}/{_FILE} was written by another version of this package ({error}); use "
            "that one, or remove the folder and plan again."
        ) from error


def is_finished(store: OutputFolder, plan: PartPlan) -> bool:
    """Whether all parts were done when `finish` looked last, or have nothing to do."""
    if not plan.num_items:
        return True
    try:
        return json.loads(store.read(f"{RUNS}/{plan.plan_id}.json"))["status"] == "finished"
    except (FileNotFoundError, KeyError):
        return False


def check_no_open_plan(store: OutputFolder) -> None:
    """Raise FolderInUse where parts of a plan may be at work, or are to be."""
    plan = read_part_plan(store)
    if plan is not None and not is_finished(store, plan):
        raise FolderInUse(
            f"{store.root} holds a plan in {plan.num_parts} parts that is not finished: hierprob3d "
            f"work and finish go on with it; to give it up, remove {store.root}/{PLAN_FOLDER}."
        )
