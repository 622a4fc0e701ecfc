from __future__ import annotations

import pyarrow as pa

from hierprob3d.transforms.tables.track_schema import track_schema


def test_contract_columns_come_first_and_every_field_says_what_it_means() -> None:
    schema = track_schema()
    assert {"item_id", "person_index", "track_id", "track_confidence"} <= set(schema.names)
    assert schema.field("smoothed_pose").type == pa.list_(pa.float32(), 207)
    for field in schema:
        assert field.metadata[b"meaning"], field.name
        if pa.types.is_fixed_size_list(field.type):
            assert field.metadata[b"axes"], field.name
