"""Columns of rows that lack a value."""

from __future__ import annotations

import pyarrow as pa


def no_values(count: int, kind: pa.DataType) -> pa.Array:
    """Nulls; of lists, lists of nulls, since pyarrow writes null lists but cannot read them."""
    if not pa.types.is_fixed_size_list(kind):
        return pa.nulls(count, kind)
    elements = pa.nulls(count * kind.list_size, kind.value_type)
    return pa.FixedSizeListArray.from_arrays(elements, type=kind)
