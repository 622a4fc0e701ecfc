"""What a run's bodies are drawn with, as far as its parts and manifests say."""

from __future__ import annotations

import torch

from hierprob3d.configs.paper_inference import ProxySettings, read_proxy_settings
from hierprob3d.model.picture.proxy import ALWAYS_VISIBLE
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.batch.models import BodyModels

from .recorded_bodies import RecordedBodies
from .recorded_threshold import keypoint_threshold
from .run_folder import PeoplePart, RunFolder


class RecordedModels:
    """Body model, threshold and rule of visible keypoints of each part.

    Args:
        folder: The run's.
        body_model: The body model that the user gave instead, or None.
    """

    def __init__(self, folder: RunFolder, body_model: str | None) -> None:
        self._folder = folder
        self._bodies = RecordedBodies(folder, body_model)

    def of_part(self, part: PeoplePart) -> BodyModels:
        """What the people of a part are drawn with.

        Raises:
            UsageError: No body model at hand is the recorded one, or the file of the proxies'
                settings is gone.
        """
        manifest = self._folder.manifest(part.run_id)
        config = manifest.get("config", {}).get("models", {})
        return BodyModels(
            body=self._bodies.of_part(part),
            device=torch.device("cpu"),
            threshold=keypoint_threshold(manifest),
            always_visible=ALWAYS_VISIBLE if config.get("keypoints") == "hrnet" else (),
            proxy=_proxy(config.get("pose_shape_cfg")),
        )


def _proxy(path: str | None) -> ProxySettings:
    try:
        return read_proxy_settings(path)
    except OSError as error:
        raise UsageError(
            f"the run's --pose-shape-cfg {path} is gone ({error.strerror}): put it back, figures "
            "show edges made by it."
        ) from error
