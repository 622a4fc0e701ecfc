"""How Beam encodes a batch, should it ever have to, and what it believes to be its size.

Stages are fused: a batch passes from one to the next as the object it is. Beam still measures some
elements, by encoding them unless a coder tells their size; here that would copy every picture.
"""

from __future__ import annotations

import pickle

from apache_beam import coders

from .batches import Batch


class BatchCoder(coders.Coder):
    """Pickles batches, and tells their size without pickling."""

    def encode(self, value: Batch) -> bytes:
        """The pickled batch."""
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> Batch:
        """The batch of those bytes."""
        batch = pickle.loads(encoded)  # bytes that `encode` of this run made
        assert isinstance(batch, Batch)
        return batch

    def estimate_size(self, value: Batch) -> int:
        """Bytes of pictures and columns."""
        return value.num_bytes

    def is_deterministic(self) -> bool:
        """No: batches are no keys."""
        return False


coders.registry.register_coder(Batch, BatchCoder)
