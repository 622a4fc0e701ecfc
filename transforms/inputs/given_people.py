"""What a list says of people besides their picture: boxes, keypoints, gender, height.

Such values take the place of what would be detected or assumed, and the people's rows say which.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from hierprob3d.configs.prediction import GENDERS, HEIGHTS_M
from hierprob3d.model.body.skeleton import NUM_KEYPOINTS

_BRACKETS = str.maketrans("[](),;", "      ")


@dataclass(frozen=True)
class GivenPerson:
    """What is known of one person, or of everybody in a picture; None where it is not."""

    bbox: tuple[float, ...] | None = None
    """x0 y0 x1 y1 in px of the upright picture."""

    keypoints: tuple[float, ...] | None = None
    """17 COCO keypoints x (x, y, confidence), likewise."""

    gender: str | None = None
    height_m: float | None = None

    @property
    def is_placed(self) -> bool:
        """Whether it says where in the picture the person is."""
        return self.bbox is not None or self.keypoints is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are given."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)


GIVEN_COLUMNS = tuple(f.name for f in fields(GivenPerson))
"""Columns that a list may have besides `uri`."""


def given_person(values: Mapping[str, Any]) -> GivenPerson | None:
    """The person of a list's row, None where the row says nothing.

    Args:
        values: Of GIVEN_COLUMNS, as a table holds them: text, numbers, lists or nothing.

    Raises:
        ValueError: A value cannot be used.
    """
    person = GivenPerson(
        bbox=_bbox(values.get("bbox")),
        keypoints=_keypoints(values.get("keypoints")),
        gender=_gender(values.get("gender")),
        height_m=_height(values.get("height_m")),
    )
    return person if person.names else None


def given_text(people: Iterable[GivenPerson]) -> str:
    """What is said of the people of one picture, for `given_people`.

    Raises:
        ValueError: It cannot be told whom it is said of, or a picture would need several bodies.
    """
    unique = list(dict.fromkeys(people))
    if len(unique) > 1 and not all(person.is_placed for person in unique):
        raise ValueError("several rows, and not each has a bbox or keypoints")
    if len({person.gender for person in unique}) > 1:
        raise ValueError("people of several genders: a picture has one body model")
    return json.dumps([{k: v for k, v in asdict(p).items() if v is not None} for p in unique])


@lru_cache(maxsize=256)
def given_people(text: str | None) -> tuple[GivenPerson, ...]:
    """The people that `given_text` wrote; none where nothing is given."""
    people: list[dict[str, Any]] = json.loads(text or "[]")
    return tuple(map(_person_of, people))


def given_to(text: str | None, person_index: int) -> GivenPerson | None:
    """What is given of one person of a picture; None where nothing is."""
    people = given_people(text)
    if people and not people[0].is_placed:
        return people[0]  # of everybody
    return people[person_index] if person_index < len(people) else None


def _person_of(content: Mapping[str, Any]) -> GivenPerson:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return GivenPerson(**values)


def _bbox(value: Any) -> tuple[float, ...] | None:
    numbers = _numbers(value)
    if numbers is None:
        return None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError("bbox must be 4 numbers, x0 y0 x1 y1")
    if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        raise ValueError("bbox must be x0 y0 x1 y1 with x0 < x1 and y0 < y1")
    return tuple(numbers)


def _keypoints(value: Any) -> tuple[float, ...] | None:
    numbers = _numbers(value)
    if numbers is None:
        return None
    if len(numbers) != 3 * NUM_KEYPOINTS:
        raise ValueError(f"keypoints must be {NUM_KEYPOINTS} x (x, y, confidence)")
    triples = [numbers[i : i + 3] for i in range(0, len(numbers), 3)]
    known = [t if all(map(math.isfinite, t)) else [0.0, 0.0, 0.0] for t in triples]
    if len({(x, y) for x, y, confidence in known if confidence > 0}) < 2:
        raise ValueError("keypoints need at least two of a confidence above 0")
    return tuple(number for triple in known for number in triple)


def _gender(value: Any) -> str | None:
    if not value:
        return None
    name = str(value).strip().lower()
    if name not in GENDERS:
        raise ValueError(f"gender must be one of {', '.join(GENDERS)}, got {value!r}")
    return name


def _height(value: Any) -> float | None:
    numbers = _numbers(value if isinstance(value, str | None) else [value])
    if numbers is None or numbers == [] or math.isnan(numbers[0]):
        return None
    if len(numbers) != 1 or not HEIGHTS_M[0] <= numbers[0] <= HEIGHTS_M[1]:
        low, high = HEIGHTS_M
        raise ValueError(f"height_m must be metres, {low} to {high}, got {value!r}")
    return numbers[0]


def _numbers(value: Any) -> list[float] | None:
    """The numbers of a text or of a list, which may be nested; NaN for those that are missing."""
    if isinstance(value, str):
        value = value.translate(_BRACKETS).split() or None
    if value is None:
        return None
    flat = [n for part in value for n in (part if isinstance(part, Sequence) and not
            isinstance(part, str) else [part])]  # fmt: skip
    try:
        return [math.nan if number is None else float(number) for number in flat]
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} are no numbers") from None
