"""Columns of stored parts: which there are, their values, parts joined as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hierprob3d.configs.checks import nearest
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.tables.schema import every_people_column


def check_names(columns: Sequence[str]) -> None:
    """Raise UsageError for a column that no run has."""
    known = [column.name for column in every_people_column()]
    for name in columns:
        if name not in known:
            raise UsageError(f"no run has people with a column {name!r}.{nearest(name, known)}")


def column_rows(column: pa.ChunkedArray) -> Sequence[Any]:
    """A column's values; lists of numbers as arrays, null in them as NaN."""
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    numbers = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(column), column.type.list_size)


def concatenate(tables: list[pa.Table]) -> pa.Table:
    """One table, null where a part lacks a column, with the metadata in which all parts agree."""
    found = [(table.schema.metadata or {}).items() for table in tables]
    common = dict(set(found[0]).intersection(*found[1:]))
    bare = [table.replace_schema_metadata() for table in tables]
    return pa.concat_tables(bare, promote_options="default").replace_schema_metadata(common)
