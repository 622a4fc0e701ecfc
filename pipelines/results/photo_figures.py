"""How near the bodies of a prediction run lie to the keypoints found in its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.training.assessment.assessment_report import number, table

from .run_folder import RunFolder

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

_COLUMNS = (
    "uri", "frame_index", "person_index", "crop", "reprojection_px", "refined_reprojection_px"
)  # fmt: skip


@dataclass(frozen=True)
class PersonFit:
    """One person of the run."""

    uri: str
    """Picture or video."""
    frame_index: int | None
    """Frame of a video."""
    person_index: int
    """Person of the picture or frame."""
    error_px: float | None
    """Mean distance of the mode's keypoints from the visible ones found, px of the 256 crop; None
    where none is visible."""
    refined_px: float | None = None
    """The same of the refined body, of a run with --refine."""


def person_fits(folder: RunFolder, weights_sha256: str) -> list[PersonFit]:
    """The people of a run, in the order of pictures, frames and people.

    Args:
        folder: a finished run.
        weights_sha256: of the weights that are assessed, see `model.files.weight_files.sha256_of`.

    Raises:
        UsageError: the run found no person, or was made with other weights.
    """
    for manifest in folder.manifests():
        used = manifest.get("model_files", {}).get("weights", {}).get("sha256")
        if used != weights_sha256:
            raise UsageError(
                f"{folder.folder} was not predicted with the weights that are assessed: run "
                "`hierprob3d predict` with the same --weights into another folder."
            )
    people = folder.people(_COLUMNS)
    if not len(people):
        raise UsageError(f"{folder.folder} has no people.")
    fits = [_fit(row) for row in people.to_pylist()]
    return sorted(fits, key=lambda fit: (fit.uri, fit.frame_index or 0, fit.person_index))


def photo_figures(fits: list[PersonFit]) -> dict[str, Any]:
    """Quantiles over people and a row per picture or video; px of the 256 crop.

    Returns:
        `people`, `people_without_keypoints`, `quantiles` and `refined_quantiles` by their share,
        `pictures` (name, people, median and largest error of each) and `each` person.
    """
    errors, refined = _errors(fits), _errors(fits, "refined_px")
    by_uri: dict[str, list[PersonFit]] = {}
    for fit in fits:
        by_uri.setdefault(fit.uri, []).append(fit)
    return {
        "people": len(fits),
        "people_without_keypoints": len(fits) - len(errors),
        "quantiles": {str(share): _quantile(errors, share) for share in QUANTILES},
        "refined_quantiles": {str(share): _quantile(refined, share) for share in QUANTILES},
        "pictures": [_picture(uri, some) for uri, some in by_uri.items()],
        "each": [{**vars(fit), "uri": _name(fit.uri)} for fit in fits],
    }


def photo_markdown(figures: dict[str, Any]) -> str:
    """The figures of `photo_figures` as tables."""
    kinds = {"mode": figures["quantiles"]}
    columns = {"median": "median_px", "largest": "largest_px"}
    if any(value is not None for value in figures["refined_quantiles"].values()):
        kinds["refined body"] = figures["refined_quantiles"]
        columns["median, refined"] = "refined_median_px"
    over_people = table(
        ["", *(f"{100 * share:.0f} %" for share in QUANTILES)],
        [[kind, *map(number, found.values())] for kind, found in kinds.items()],
    )
    pictures = [
        [row["name"], str(row["people"]), *(number(row[name]) for name in columns.values())]
        for row in figures["pictures"]
    ]
    return (
        "### Photographs: keypoints of bodies to those found, px\n\n"
        f"Quantiles over {figures['people']} people; "
        f"{figures['people_without_keypoints']} without a visible keypoint are left out.\n\n"
        f"{over_people}\n\n" + table(["picture", "people", *columns], pictures)
    )


def _fit(row: dict[str, Any]) -> PersonFit:
    mode, refined = (
        None if row.get(name) is None else round(row[name] * PROXY_SIZE / row["crop"][2], 2)
        for name in ("reprojection_px", "refined_reprojection_px")
    )
    return PersonFit(row["uri"], row["frame_index"], row["person_index"], mode, refined)


def _picture(uri: str, fits: list[PersonFit]) -> dict[str, Any]:
    errors = _errors(fits)
    return {
        "name": _name(uri),
        "people": len(fits),
        "median_px": _quantile(errors, 0.5),
        "largest_px": _quantile(errors, 1.0),
        "refined_median_px": _quantile(_errors(fits, "refined_px"), 0.5),
    }


def _errors(fits: list[PersonFit], name: str = "error_px") -> list[float]:
    return [vars(fit)[name] for fit in fits if vars(fit)[name] is not None]


def _quantile(errors: list[float], share: float) -> float | None:
    return round(float(np.quantile(errors, share)), 2) if errors else None


def _name(uri: str) -> str:
    return PurePosixPath(uri).name
