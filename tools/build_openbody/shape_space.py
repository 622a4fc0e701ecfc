"""Ten shape directions: area-weighted principal components, turned to mean stature and weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hierprob3d.model.body.skeleton import NUM_BETAS

_DENSITY = 980.0
"""kg per cubic metre of body."""


@dataclass(frozen=True)
class ShapeSpace:
    """Mean body, unit-variance shape directions, and how well they do."""

    mean: np.ndarray
    """(V, 3) float32."""
    directions: np.ndarray
    """(V, 3, 10) float32, metres per unit of beta."""
    reconstruction: np.ndarray
    """(T, V, 3) the held-out bodies through the ten betas."""
    report: dict[str, object]
    """Explained variance, correlations, held-out errors."""


def fit_shape_space(bodies: np.ndarray, held_out: np.ndarray, faces: np.ndarray) -> ShapeSpace:
    """The shape space of T-posed bodies.

    Scores have unit variance and are uncorrelated. They are turned inside their span so that beta 0
    remains the main component, which is size, beta 1 is what best predicts the body mass index, and
    the others follow by explained variance. Positive means taller and heavier.

    Args:
        bodies: (N, V, 3) float32.
        held_out: (T, V, 3) bodies for the error report only.
        faces: (F, 3).
    """
    mean = bodies.mean(0, dtype=np.float64).astype(np.float32)
    area = _vertex_areas(mean, faces)
    share = np.repeat(area / area.sum(), 3)
    stature = np.ptp(bodies[:, :, 1], axis=1)
    mass = _masses(bodies, faces)
    mass_index = mass / stature**2
    centred = (bodies - mean).reshape(len(bodies), -1)
    variances, vectors = np.linalg.eigh(((centred * share) @ centred.T).astype(np.float64))
    scores = vectors[:, ::-1][:, :NUM_BETAS] * np.sqrt(len(bodies))
    scores = scores @ _turn_scores(scores, mass_index, centred, share)
    correlations = np.array(
        [
            [np.corrcoef(score, values)[0, 1] for score in scores.T]
            for values in (stature, mass_index)
        ]
    )
    directions = (centred.T @ scores.astype(np.float32)) / len(bodies)
    signs = _signs(directions, correlations)
    directions *= signs.astype(np.float32)
    reconstruction = _reconstruct((held_out - mean).reshape(len(held_out), -1), directions, share)
    residual = (held_out - mean).reshape(len(held_out), -1)
    explained = (share[:, None] * directions**2).sum(0) * len(bodies) / variances.sum()
    report: dict[str, object] = {
        "explained_variance": _rounded(explained),
        "total": _rounded(explained.sum()),
        "corr_stature": _rounded(correlations[0] * signs),
        "corr_bmi": _rounded(correlations[1] * signs),
        "heldout_vertex_mm": mean_mm((reconstruction - residual).reshape(held_out.shape)),
        "heldout_vertex_mm_mean_shape": mean_mm(residual.reshape(held_out.shape)),
        "stature_m": _rounded([stature.mean(), stature.std()]),
        "mass_kg": _rounded([mass.mean(), mass.std()]),
        "bmi": _rounded([mass_index.mean(), mass_index.std()]),
    }
    return ShapeSpace(
        mean=mean,
        directions=directions.reshape(-1, 3, NUM_BETAS),
        reconstruction=reconstruction.reshape(held_out.shape) + mean,
        report=report,
    )


def mean_mm(errors: np.ndarray) -> float:
    """Mean length of error vectors (..., 3), metres in, millimetres out."""
    return round(float(np.linalg.norm(errors, axis=-1).mean() * 1000), 2)


def _vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area (V,) float32 of the faces around each vertex."""
    a, b, c = vertices[faces].swapaxes(0, 1)
    area = np.zeros(len(vertices), np.float32)
    np.add.at(area, faces.ravel(), np.repeat(np.linalg.norm(np.cross(b - a, c - a), axis=1), 3))
    return area


def _masses(bodies: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Mass (N,) in kg from the volume inside each closed mesh."""
    volumes = []
    for body in bodies:
        a, b, c = body[faces].swapaxes(0, 1)
        volumes.append((a * np.cross(b, c)).sum() / 6)
    return _DENSITY * np.array(volumes)


def _turn_scores(
    scores: np.ndarray, mass_index: np.ndarray, centred: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Rotation (10, 10) of the scores: axis 1 towards the mass index, 2..9 by variance."""
    turn = np.eye(NUM_BETAS)
    covariance = scores[:, 1:].T @ (mass_index - mass_index.mean())
    turn[1:, 1:] = np.linalg.svd(covariance[:, None])[0]
    rest = (centred.T @ (scores @ turn[:, 2:]).astype(np.float32)) / len(scores)
    turn[:, 2:] = turn[:, 2:] @ np.linalg.eigh((rest.T * share) @ rest)[1][:, ::-1]
    return turn


def _signs(directions: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    """Signs (10,): stature and mass grow with beta; of the others the largest y or z move does."""
    moves = directions.reshape(-1, 3, NUM_BETAS)[:, 1:, 2:].reshape(-1, NUM_BETAS - 2)
    largest = moves[np.abs(moves).argmax(0), np.arange(NUM_BETAS - 2)]
    return np.sign([correlations[0, 0], correlations[1, 1], *largest])


def _reconstruct(residual: np.ndarray, directions: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Residuals (T, 3 V) projected on the directions (3 V, 10) in the area-weighted sense."""
    gram = np.linalg.inv((directions.T * share) @ directions)
    return residual * share @ directions @ gram @ directions.T


def _rounded(values: object) -> object:
    return np.round(np.asarray(values, float), 3).tolist()
