"""The distribution network, its heads and its weights on disk."""
