"""Datasets that an evaluation makes for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.pipelines import evaluation_data


def test_raw_3dpw_is_made_again_where_all_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sequenceFiles").mkdir()
    asked: list[PreprocessConfig] = []
    monkeypatch.setattr(
        evaluation_data, "preprocess", lambda config, words: asked.append(config) or 0
    )
    config = EvaluateConfig(
        dataset="3dpw",
        data=str(tmp_path),
        output=str(tmp_path / "out"),
        keypoints="movenet",
        overwrite=True,
    )
    found = evaluation_data.provide_data(config, [])
    assert found.data == asked[0].output == f"{tmp_path}/out/preprocessed"
    assert asked[0].overwrite
