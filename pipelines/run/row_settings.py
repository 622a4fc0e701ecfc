"""What decides what a row means, as a run's record tells it: rows of other settings do not join.

Options decide it, all but those that a command says do not; the files of models; and what options
come to, such as a threshold that is the detector's own. Records of earlier versions are compared as
far as they say anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from hierprob3d.configs.option_fields import OptionField, option_fields
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.store.output_folder import OutputFolder, run_of

from .manifest import plain, read_manifest

RESOLVED = "resolved"
"""Key of records: what options came to, by the field's name, or by words where there is none."""

OF_THE_OUTCOME = frozenset({"retry_failed", "overwrite", "max_failed_ratio"})
_FILES = {
    "weights": "--weights",
    "detector": "--detector-weights",
    "keypoints": "--keypoint-weights",
    "shape": "the network of shapes",
}
_FOLLOWS = {
    "detector_threshold": "detector",
    "keypoint_threshold": "keypoints",
    "pose_shape_cfg": "weights",
}
"""Fields whose values may follow from something else: where that differs, it alone is told."""

_TOLERANCE = 1e-3
"""Of numbers that were measured, which the machine rounds."""

_MOST_TOLD = 4
MENDS = "choose another --output, --overwrite all of it, or give the options of the earlier run"


@dataclass(frozen=True)
class Difference:
    """Something that decides what rows mean, and is not what it was."""

    what: str
    """Field, or part of the models' files."""

    earlier: str
    now: str

    def __str__(self) -> str:
        return f"{self.earlier} (now {self.now})"


def check_settings(
    store: OutputFolder,
    config_class: type,
    left_out: Collection[str],
    record: Mapping[str, Any],
    dropped: Collection[str] = (),
    needs_records: bool = False,
) -> None:
    """Raise UsageError if rows that stay mean something else than those of a run would.

    Args:
        store: The output folder.
        config_class: Of the command's options.
        left_out: Fields of it that do not change what a row means, paths among them.
        record: Of the run that is to add rows: `config`, `model_files` and RESOLVED.
        dropped: Ids of the items whose rows go.
        needs_records: Whether rows of which nobody knows what they mean may not stay.
    """
    for run in sorted(runs_that_stay(store, dropped)):
        earlier = read_manifest(store, run)
        if needs_records and "config" not in earlier:
            raise UsageError(
                f"{store.root} holds rows of run {run}, whose record in runs/ is not there: which "
                "options they are of is not known; restore it, choose another --output, or "
                "--overwrite all of it."
            )
        found = differences(config_class, left_out, earlier, record)
        if found:
            raise UsageError(f"{store.root} holds rows of run {run} {told(found)}: {MENDS}.")


def told(found: Sequence[Difference]) -> str:
    """Differences as a part of a sentence about the earlier one."""
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return ", ".join(map(str, found[:_MOST_TOLD])) + more


def differences(
    config_class: type,
    left_out: Collection[str],
    earlier: Mapping[str, Any],
    now: Mapping[str, Any],
) -> list[Difference]:
    """What two records say differently; arguments as of `check_settings`."""
    if "config" not in earlier:  # somebody removed it, or it is damaged
        return []
    options = list(_differing_options(config_class, left_out, earlier, now))
    files = list(_differing_files(earlier.get("model_files", {}), now.get("model_files", {})))
    by_name = {difference.what: difference for difference in (*files, *options)}  # of a detector
    return [found for name, found in by_name.items() if _FOLLOWS.get(name) not in by_name]


def runs_that_stay(store: OutputFolder, dropped: Collection[str] = ()) -> set[str]:
    """Ids of runs of which a finished item stays, once some items are dropped."""
    parts = store.parts("frames")
    if not dropped:
        return {run_of(name) for name in parts}
    runs = set[str]()
    for name, table in store.read_parts(parts, ["item_id"]):
        run = run_of(name)
        if run not in runs and not set(table["item_id"].to_pylist()) <= set(dropped):
            runs.add(run)
    return runs


def _differing_options(
    config_class: type,
    left_out: Collection[str],
    earlier: Mapping[str, Any],
    now: Mapping[str, Any],
) -> Iterator[Difference]:
    fields = {field.name: field for field in option_fields(config_class)}
    then, today = _flat(earlier["config"]), _flat(now["config"])
    came_to = [record.get(RESOLVED, {}) for record in (earlier, now)]
    known = came_to[0].keys() & came_to[1].keys()
    for name, field in fields.items():
        if name in known:
            old, new = (values[name] for values in came_to)
        elif name in left_out or _is_off(field, then) or _is_off(field, today):
            continue
        else:  # a record from before there was the option is of a run without it
            old, new = (values.get(name, _default(field)) for values in (then, today))
        yield from _difference(name, old, new, field)
    for words in sorted(known - fields.keys()):
        yield from _difference(words, *(values[words] for values in came_to))


def _difference(
    name: str, old: Any, new: Any, field: OptionField | None = None
) -> Iterator[Difference]:
    """The difference of two values, one for each key where both are mappings; none if equal."""
    words = name if field is None else field.option_name
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() & new.keys()):
            if not _is_same(old[key], new[key], field):
                yield Difference(name, *(f"with {words} {key} {_text(value[key])}"
                                         for value in (old, new)))  # fmt: skip
    elif not _is_same(old, new, field):
        yield Difference(name, *(_said(words, value, field) for value in (old, new)))


def _is_same(old: Any, new: Any, field: OptionField | None) -> bool:
    if field is None and isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE**2)
    return bool(old == new)


def _said(option: str, value: Any, field: OptionField | None) -> str:
    """What was told, as on the command line."""
    if field is not None and field.is_switch:
        return f"{'without' if value == field.default else 'with'} {option}"
    return f"without {option}" if value in (None, []) else f"with {option} {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _differing_files(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    for part in (part for part in now if part in earlier):
        old, new = earlier[part], now[part]
        if old["sha256"] != new["sha256"]:
            option = _FILES.get(part, "--body-model")
            said = (f"with {option} {file['path']}, SHA-256 {file['sha256'][:12]}..."
                    for file in (old, new))  # fmt: skip
            yield Difference(part, *said)


def _is_off(field: OptionField, values: Mapping[str, Any]) -> bool:
    """Whether an option changes nothing, for want of the switch that it belongs to."""
    return bool(field.option.needs) and not values.get(field.option.needs)


def _default(field: OptionField) -> Any:
    return None if field.default is MISSING else plain(field.default)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their field's name, those of inner configurations among them."""
    flat = dict[str, Any]()
    for name, value in config.items():
        flat.update(_flat(value) if isinstance(value, Mapping) else {name: value})
    return flat
