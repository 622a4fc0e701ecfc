"""Conditions on rows: patterns, comparisons, and words that are neither."""

from __future__ import annotations

import pytest

from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.pipelines.results.row_filter import parse_filters

ROW = {
    "uri": "/a/beach.jpg", "person_index": 1, "frame_index": None, "quality": 0.7, "height_m": 1.8,
    "focal_assumed": True, "track_id": 3, "track_confidence": 0.9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "matches"),
    [
        ("uri=*beach.jpg", True), ("uri=*sea*", False), ("person_index=1", True),
        ("person_index=1.0", True), ("person_index=?", True), ("quality>0.6", True),
        ("quality>0.7", False), ("quality>=0.7", True), ("height_m<1.8", False),
        ("height_m<=1.8", True), ("frame_index<5", False), ("frame_index=*", False),
        ("focal_assumed=True", True), ("focal_assumed=true", True), ("focal_assumed=false", False),
        ("track_id=3", True), ("track_confidence>0.95", False),
    ],
)  # fmt: skip
def test_conditions(word: str, matches: bool) -> None:
    (condition,) = parse_filters([word])
    assert condition.matches(ROW) == matches
    assert condition.is_of_tracks == word.startswith("track")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("quality", "neither COLUMN=PATTERN nor a comparison"),
        ("qualty>0.5", "no run has people with a column 'qualty'. Did you mean quality?"),
        ("height<2", "Did you mean height_m?"),
        ("joints3d>1", "joints3d holds several numbers"),
        ("uri>5", "the column is text"),
        ("quality>high", "'high' is no number"),
    ],
)
def test_what_is_no_condition_is_told(word: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_filters([word])
    assert message in str(error.value) and repr(word) in str(error.value)
