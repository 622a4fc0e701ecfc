"""PyArrow without pandas, in processes of ours."""

from __future__ import annotations

import sys

_PANDAS = "pandas"


class _NotThere:
    """Finder of modules that says of pandas that it is not installed."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Nothing, for modules that others may find."""
        if name == _PANDAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def leave_pandas_out() -> None:
    """Keeps PyArrow from loading pandas, in this process, for good.

    It does so when it is first given a list, where pandas is installed: a third of a second and
    45 MB for conversions that no command of ours needs. Others may still load pandas. Not for
    programs that call us, as `to_pandas` works no more.
    """
    if _PANDAS in sys.modules:
        return
    finder = _NotThere()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])  # now it looks for pandas, and never again
    finally:
        sys.meta_path.remove(finder)
