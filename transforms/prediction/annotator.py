"""The stages of prediction for arrays: pictures in, people out, no files and no Beam."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from hierprob3d.configs.prediction import (
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import Models, load_models
from hierprob3d.transforms.inputs.items import Frame, Item
from hierprob3d.transforms.tables.schema import every_people_column

from .stages import wanted_stages

Person = dict[str, np.ndarray]
"""What is known of one person, by the names of the people table's columns."""

_COLUMNS = frozenset(column.name for column in every_people_column())
"""Whatever else is known of people, stages tell each other."""


class Annotator:
    """Annotates pictures in memory, each person with the columns of the people table.

    Args:
        models: Networks and body model; the bundled ones by default. Loaded once per process.
        sampling: Number of samples, seed, and whether samples are kept.
        refinement: Whether bodies are also moved onto the keypoints.
        known_height: Of everybody, metres.
        batch_size: People per network call.

    Raises:
        FileNotFoundError, ValueError: A model's file is missing, damaged or does not fit.
    """

    def __init__(
        self,
        models: ModelsConfig | None = None,
        sampling: SamplingConfig | None = None,
        refinement: RefinementConfig | None = None,
        known_height: float | None = None,
        batch_size: int = 16,
    ) -> None:
        self._config = PredictConfig(
            source=SourceConfig(inputs=("arrays",), known_height=known_height),
            models=models or ModelsConfig(),
            sampling=sampling or SamplingConfig(),
            refinement=refinement or RefinementConfig(),
            run=RunConfig(output="nowhere", batch_size=batch_size),
        )
        self.models: Models = load_models(self._config.models)

    def annotate(self, image: np.ndarray) -> list[Person]:
        """The people of one picture, best box first.

        Arrays have the table's numbers in their natural shapes, such as (23, 3, 3) for `pose_F`.
        Draws depend on the seed and the picture's content alone.

        Args:
            image: (H, W, 3) uint8 RGB, upright.

        Raises:
            ValueError: No such array.
            Exception: What kept the picture, or one of its people, from being annotated.
        """
        return self.annotate_batch([image])[0]

    def annotate_batch(self, images: Sequence[np.ndarray]) -> list[list[Person]]:
        """The people of each of some pictures; as `annotate`, with fewer calls of the networks."""
        batch = Batch([Frame(_item(image, place), image) for place, image in enumerate(images)])
        run_stages(batch, self.models, self._config)
        for failure in batch.failures:
            raise failure.error
        found: list[list[Person]] = [[] for _ in images]
        for place, person in zip(_places(batch.people), _people(batch.people), strict=True):
            found[place].append(person)
        return found


def run_stages(batch: Batch, models: Models, config: PredictConfig) -> None:
    """Takes a batch through all stages that the configuration wants."""
    for stage in wanted_stages(config):
        stage.run(batch, models, config)


def _item(image: np.ndarray, place: int) -> Item:
    """The item of an array, named by its content."""
    wanted = f"picture {place} must be an (H, W, 3) uint8 RGB array"
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{wanted}, got {type(image).__name__}: numpy.asarray makes one.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"{wanted}, got {image.dtype} {image.shape}.")
    content = f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()
    return Item(hashlib.sha1(content, usedforsecurity=False).hexdigest(), f"array {place}")


def _places(people: People) -> list[int]:
    return people.columns["frame"].tolist() if len(people) else []


def _people(people: People) -> list[Person]:
    columns = {
        name: column.cpu().numpy() for name, column in people.columns.items() if name in _COLUMNS
    }
    return [
        {"person_index": np.asarray(index)} | {name: c[row] for name, c in columns.items()}
        for row, index in enumerate(people.person_indices)
    ]
