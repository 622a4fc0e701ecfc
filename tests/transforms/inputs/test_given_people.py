"""What lists may say of people, and what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierprob3d.transforms.inputs.given_people import (
    GivenPerson,
    given_people,
    given_person,
    given_text,
    given_to,
)
from hierprob3d.transforms.inputs.listing import Listing, list_inputs
from hierprob3d.transforms.inputs.planning import Planner, PlanRules

KEYPOINTS = [float(number) for number in range(51)]


@pytest.mark.parametrize("bbox", ["1 2 3 4", "[1, 2, 3, 4]", [1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0)])
def test_boxes_are_read_from_text_and_lists(bbox: Any) -> None:
    person = given_person({"bbox": bbox, "gender": "Female ", "height_m": "1.7"})
    assert person == GivenPerson((1.0, 2.0, 3.0, 4.0), None, "female", 1.7)
    assert person.names == ("bbox", "gender", "height_m")


def test_keypoints_that_are_missing_have_no_confidence() -> None:
    nested = [KEYPOINTS[i : i + 3] for i in range(0, 51, 3)]
    nested[1] = [None, None, None]  # type: ignore[list-item]
    person = given_person({"keypoints": nested})
    assert person is not None and person.keypoints is not None
    assert person.keypoints[:6] == (0.0, 1.0, 2.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [{}, {"bbox": None, "gender": "", "height_m": ""}])
def test_rows_may_say_nothing(values: dict[str, Any]) -> None:
    assert given_person(values) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bbox": "1 2 3"}, "bbox must be 4 numbers"),
        ({"bbox": "3 2 1 4"}, "x0 < x1"),
        ({"bbox": "a b c d"}, "are no numbers"),
        ({"bbox": [1, 2, float("nan"), 4]}, "bbox must be 4 numbers"),
        ({"keypoints": [1.0] * 50}, "17 x"),
        ({"keypoints": [0.0] * 51}, "at least two"),
        ({"gender": "unknown"}, "gender must be one of neutral, male, female"),
        ({"height_m": 180}, "height_m must be metres"),
    ],
)
def test_values_that_cannot_be_used(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_person(values)


def test_people_of_a_picture_are_known_by_their_place() -> None:
    people = [GivenPerson(bbox=(0.0, 0.0, 1.0, 1.0)), GivenPerson(keypoints=tuple(KEYPOINTS))]
    text = given_text([*people, people[0]])
    assert given_people(text) == tuple(people)
    assert [given_to(text, index) for index in range(3)] == [*people, None]
    everybody = given_text([GivenPerson(height_m=1.7)])
    assert given_to(everybody, 5) == GivenPerson(height_m=1.7) and given_to(None, 0) is None


BOX = (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "people",
    [
        [GivenPerson(height_m=1.7), GivenPerson(height_m=1.8)],
        [GivenPerson(BOX, gender="male"), GivenPerson(BOX, gender="female")],
    ],
)
def test_people_that_contradict_each_other(people: list[GivenPerson]) -> None:
    with pytest.raises(ValueError, match=r"several"):
        given_text(people)


def listed(tmp_path: Path, kind: str) -> Listing:
    rows = {"uri": ["a.png", "b.png", "a.png", "c.png"],
            "gender": ["female", None, "female", "male"],
            "bbox": [[0, 0, 5, 5], None, [5, 0, 9, 9], None]}  # fmt: skip
    path = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(rows), path)
    else:
        path.write_text("uri,gender,bbox\na.png,female,0 0 5 5\nb.png\na.png,female,5 0 9 9\n"
                        "c.png,male,\n")  # fmt: skip
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    return list_inputs([str(path)])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_lists_give_values_that_reach_the_shards(kind: str, tmp_path: Path) -> None:
    listing = listed(tmp_path, kind)
    assert listing.uris == [str(tmp_path / f"{name}.png") for name in "abc"]
    assert listing.genders == {"female", "male"}
    shards = list(Planner(listing.sources, (), PlanRules(shard_size=2)).shards())
    genders = {shard.gender: [Path(i.uri).name for i in shard.items] for shard in shards}
    assert genders == {"female": ["a.png"], None: ["b.png"], "male": ["c.png"]}
    assert [p.bbox for p in given_people(shards[0].items[0].given)] == [(0, 0, 5, 5), (5, 0, 9, 9)]


def test_other_values_are_another_version_of_the_picture(tmp_path: Path) -> None:
    before = {source.uri: source.version for source in listed(tmp_path, "csv").sources}
    path = tmp_path / "list.csv"
    path.write_text(path.read_text().replace("0 0 5 5", "0 0 5 6"))
    after = {source.uri: source.version for source in list_inputs([str(path)]).sources}
    assert {Path(uri).name for uri in before if before[uri] != after[uri]} == {"a.png"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,1 2", r"line 2 of the list .*list\.csv \(a\.png\): bbox must be"),
        ("clip.mp4,1 2 3 4", r"gives bbox or keypoints of clip\.mp4, which is no picture"),
    ],
)
def test_bad_values_are_told_with_their_place(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"uri,bbox\n{line}\n")
    with pytest.raises(ValueError, match=message):
        list_inputs([str(tmp_path / "list.csv")])
