"""PyArrow leaves pandas alone in a command's process, and nobody else is kept from it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from importlib.util import find_spec
from hierprob3d.transforms.tables.arrow_alone import leave_pandas_out

leave_pandas_out()
import pyarrow as pa

pa.table({"name": pa.array(["a", "b"])})
assert "pandas" not in sys.modules
find_spec("pandas")
print([type(finder) for finder in sys.meta_path if "arrow_alone" in type(finder).__module__])
"""


def test_lists_do_not_load_pandas() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
