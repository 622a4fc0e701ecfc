"""Tests that need a cluster: run by `make test-cluster` alone, as nobody else has one to spare."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("HIERPROB3D_CLUSTER") else ["test_*.py"]
