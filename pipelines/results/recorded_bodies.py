"""The body models that the parts of a run were made with."""

from __future__ import annotations

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.recorded_body import BUNDLED, OtherBody, find_body, likely_paths
from hierprob3d.pipelines.command.usage import UsageError

from .run_folder import PeoplePart, RunFolder


class RecordedBodies:
    """Loads the body models that parts were made with, and refuses any other.

    Args:
        folder: the run's folder; its manifests say where the body models lay.
        path: body model that the user gave instead, or None.
    """

    def __init__(self, folder: RunFolder, path: str | None) -> None:
        self._folder = folder
        self._path = path
        self._bodies: dict[str, Body] = {}

    def of_part(self, part: PeoplePart) -> Body:
        """The body of a part.

        Raises:
            UsageError: no body model at hand is the recorded one.
        """
        wanted = part.metadata.get("body_sha256", "")
        if wanted not in self._bodies:
            self._bodies[wanted] = self._find(part)
        return self._bodies[wanted]

    def _find(self, part: PeoplePart) -> Body:
        try:
            return find_body(part.metadata, self._candidates(part))
        except OtherBody as error:
            raise UsageError(
                f"{part.name} was {error}: give the right file or folder with --body-model."
            ) from error

    def _candidates(self, part: PeoplePart) -> list[str]:
        """Where the body model may be: the given path, or those recorded that are still there."""
        if self._path is not None:
            return [self._path]
        configs = [manifest.get("config", {}) for manifest in self._folder.manifests()]
        recorded = [config.get("models", {}).get("body_model", BUNDLED) for config in configs]
        return likely_paths([part.metadata.get("body_model", BUNDLED), *recorded])
