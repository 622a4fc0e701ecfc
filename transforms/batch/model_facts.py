"""What is known of a run's models without having them: for planning, which needs none.

Networks and their libraries take most of a gigabyte and seconds to load. A process that only plans
has another one load them, which says what they are, or what is wrong with them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hierprob3d.configs.paper_inference import ProxySettings
from hierprob3d.configs.prediction import ModelsConfig
from hierprob3d.module_path import child_environment, python_command

_LIBRARY = "torch"


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What rows, their columns and manifests say of models."""

    device: str
    """Where networks compute."""

    engines: dict[str, str]
    """What runs each network, by its part."""

    threshold: float
    """Confidence above which a limb keypoint counts as visible."""

    detector_threshold: float | None
    """Score above which a detection counts as a person; None: there is no detector."""

    proxy: ProxySettings
    """How the networks' input is made."""

    body_family: str
    body_gender: str
    num_vertices: int
    global_spread: bool
    """Whether the network says how sure it is of global rotations."""

    files: dict[str, dict[str, str]]
    """Path and SHA-256 of every file that results depend on."""

    @property
    def on_gpu(self) -> bool:
        """Whether the networks compute on a GPU."""
        return self.device.startswith("cuda")


def model_facts(config: ModelsConfig, genders: Iterable[str] = ()) -> ModelFacts:
    """What the models of a configuration are, once they were loaded for a try.

    In this process if it has loaded torch, otherwise in one of its own, which ends with it.

    Args:
        config: Where they lie.
        genders: Of further body models that will be needed.

    Raises:
        FileNotFoundError, ValueError: As of `load_models`.
    """
    wanted = sorted(genders)
    return (loaded_facts if _LIBRARY in sys.modules else _asked_facts)(config, wanted)


def _asked_facts(config: ModelsConfig, genders: Sequence[str]) -> ModelFacts:
    """As `loaded_facts`, by a process of its own."""
    changes = {**os.environ, **child_environment()}
    environment = {name: value for name, value in changes.items() if value is not None}
    with tempfile.NamedTemporaryFile(prefix="hierprob3d-") as answer:
        words = [*python_command(__name__), answer.name]
        question = pickle.dumps((config, genders))
        # In a session of its own: Ctrl-C is for this process, which then ends that one.
        ended = subprocess.run(words, input=question, env=environment, start_new_session=True)
        if ended.returncode:
            raise ValueError(
                f"the models cannot be loaded: the process that tried ended with code "
                f"{ended.returncode} (-9: mostly for want of memory)"
            )
        found = pickle.loads(answer.read())
    if isinstance(found, Exception):
        raise found
    assert isinstance(found, ModelFacts)
    return found


def main() -> None:
    """What that process does: its answer goes into the file that it is given."""
    config, genders = pickle.loads(sys.stdin.buffer.read())
    answer: ModelFacts | Exception
    try:
        answer = loaded_facts(config, genders)
    except (ValueError, OSError) as error:
        answer = error
    with open(sys.argv[1], "wb") as file:
        pickle.dump(answer, file)


def loaded_facts(config: ModelsConfig, genders: Iterable[str]) -> ModelFacts:
    """As `model_facts`, in this process, which then has the models."""
    from .models import load_models, load_models_of, model_hashes

    models = load_models(config)
    for gender in genders:  # a list may ask for what is not there
        load_models_of(config, gender)
    return ModelFacts(
        device=str(models.device),
        engines=dict(models.engines),
        threshold=models.threshold,
        detector_threshold=None if models.detector is None else models.detector.min_score,
        proxy=models.proxy,
        body_family=models.body.family,
        body_gender=models.body.gender,
        num_vertices=models.body.num_vertices,
        global_spread=models.net.config.global_spread,
        files=model_hashes(config),
    )
