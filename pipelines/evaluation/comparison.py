"""Two evaluations of the same rows: differences with paired bootstrap intervals."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.configs.evaluation import CompareConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.command.wording import counted
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.schema import STATUS_OK

from .evaluation_summary import printed

METRICS_FILE = "metrics.json"
_NUM_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 50
_LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of B minus A of one metric over the rows that both have."""

    name: str
    mean_a: float
    mean_b: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def compare(folder_a: str, folder_b: str, seed: int = 0) -> tuple[int, list[Difference]]:
    """(number of common rows, differences) of two output folders of `evaluate`.

    Rows are paired by item and drawn again together, so that what is hard for both does not widen
    the interval. Silhouette IoU is compared as the mean of the rows' own IoU.

    Raises:
        UsageError: no evaluation there, protocols or datasets that differ, or no common row.
    """
    stores = [OutputFolder(folder) for folder in (folder_a, folder_b)]
    names = _common_metrics([_record(store) for store in stores])
    tables = [_rows(store, names) for store in stores]
    joined = tables[0].join(tables[1], "item_id", right_suffix=" b", join_type="inner")
    joined = joined.sort_by("item_id")  # the same resamples whatever the order of the parts
    if joined.num_rows == 0:
        raise UsageError(f"{folder_a} and {folder_b} have no row in common.")
    a, b = (
        np.stack([joined[name + suffix].to_numpy() for name in names], 1).astype(np.float64)
        for suffix in ("", " b")
    )
    low, high = paired_interval(b - a, seed)
    return joined.num_rows, [
        Difference(name, *(float(v[i]) for v in (a.mean(0), b.mean(0), low, high)))
        for i, name in enumerate(names)
    ]


def paired_interval(differences: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % percentile bootstrap interval of the mean of each column.

    Args:
        differences: (rows, columns).
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    num_rows = len(differences)
    means = []
    for _ in range(_NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        drawn = rng.integers(0, num_rows, (_RESAMPLES_AT_ONCE, num_rows))
        weights = np.stack([np.bincount(rows, minlength=num_rows) for rows in drawn])
        means.append(weights @ differences / num_rows)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail), axis=0)
    return low, high


def print_comparison(config: CompareConfig) -> int:
    """Prints how two finished evaluations differ; exit code 0."""
    print(comparison_table(*compare(*config.compare)))
    return EXIT_DONE


def comparison_table(num_rows: int, differences: list[Difference]) -> str:
    """The comparison as Markdown."""
    lines = [
        f"{counted(num_rows, 'common row')}; B - A with its 95 % paired bootstrap interval.",
        "",
        "| metric | A | B | B - A | interval | clear |",
        "|---|---|---|---|---|---|",
    ]
    for d in differences:
        texts = [
            printed(d.name, v) for v in (d.mean_a, d.mean_b, d.mean_b - d.mean_a, d.low, d.high)
        ]
        clear = "yes" if d.is_clear else "no"
        interval = f"{texts[3]} .. {texts[4]}"
        lines.append(f"| {' | '.join((d.name, *texts[:3], interval, clear))} |")
    return "\n".join(lines)


def _record(store: OutputFolder) -> dict:
    try:
        return json.loads(store.read(METRICS_FILE))
    except FileNotFoundError:
        raise UsageError(
            f"{store.root} has no {METRICS_FILE}: it is not a finished evaluation."
        ) from None


def _common_metrics(records: list[dict]) -> list[str]:
    for key in ("dataset", "protocol"):
        a, b = (record[key] for record in records)
        if a != b:
            names = [value["name"] if isinstance(value, dict) else value for value in (a, b)]
            raise UsageError(f"the two runs have another {key}: {names[0]} and {names[1]}.")
    names = [name for name in records[0]["metrics"] if name in records[1]["metrics"]]
    if not names:
        raise UsageError("the two runs have no metric in common.")
    return names


def _rows(store: OutputFolder, names: list[str]) -> pa.Table:
    columns = ["item_id", "status", *names]
    parts = [
        store.read_part(name, columns).replace_schema_metadata() for name in store.parts("frames")
    ]
    if not parts:
        raise UsageError(f"{store.root} has no rows.")
    table = pa.concat_tables(parts)
    return table.filter(pc.equal(table["status"], STATUS_OK)).drop_columns(["status"])
