"""Numbers in sentences that people read."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 item`, `2 items`, `0 people`.

    Args:
        number: How many.
        one: What one of them is called.
        many: What several are called, where it is not `one` with an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def people(number: int) -> str:
    """`1 person`, `2 people`."""
    return counted(number, "person", "people")
