"""What a run asks of an object store: below three requests a picture, one of them for its bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.counted_store import register

NUM_PICTURES = 96
SHARD_SIZE = 32


def test_requests_of_a_run(predict: Callable[..., int]) -> None:
    store = register()
    for number in range(NUM_PICTURES):
        # No pictures: what is asked of the store is the same, and no network runs.
        store.objects[f"bucket/in/{number % 3}/{number:03d}.jpg"] = b"no picture"
    words = ("counted://bucket/in", "--output", "counted://bucket/out", "--shard-size", SHARD_SIZE,
             "--max-failed-ratio", "1", "--direct_running_mode", "in_memory")  # fmt: skip
    assert predict(*words) == 0
    parts = Counter(name.split("/")[2] for name in store.objects if name.startswith("bucket/out"))
    num_shards = NUM_PICTURES // SHARD_SIZE
    assert parts["frames"] == parts["errors"] == num_shards and parts["runs"] == 1
    first = Counter(store.requests)
    per_shard = {"GET": 1 + 2, "PUT": 3, "DELETE": 2, "LIST": 1}  # of these 3 when all is counted
    of_shards = {kind: number * num_shards for kind, number in per_shard.items()}
    of_shards["GET"] += NUM_PICTURES
    fixed = first - Counter(of_shards)
    assert not Counter(of_shards) - first and fixed.total() < 80
    assert first.total() < 3 * NUM_PICTURES
    assert predict(*words) == 0  # nothing to do
    assert (store.requests - first).total() < 80
