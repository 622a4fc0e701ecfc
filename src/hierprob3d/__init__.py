"""3D human bodies from pictures as probability distributions, at scale.

The names of `__all__` are the library. Each is loaded when it is first asked for, so that
`import hierprob3d` takes milliseconds and a program pays for Beam or torch only where it uses them.
"""

import sys

from hierprob3d import moved

TYPE_CHECKING = False  # as typing's, which this module does not spend milliseconds on
if TYPE_CHECKING:
    from hierprob3d.configs.evaluation import EvaluateConfig
    from hierprob3d.configs.prediction import (
        ModelsConfig,
        PredictConfig,
        RefinementConfig,
        RunConfig,
        SamplingConfig,
        SourceConfig,
    )
    from hierprob3d.configs.preprocessing import PreprocessConfig
    from hierprob3d.model.body.mesh_body import Body, load_body
    from hierprob3d.model.estimate.reconstruction import rebuild_mode, rebuild_samples
    from hierprob3d.model.estimate.refinement import refine_bodies
    from hierprob3d.model.network.checkpoints import load_distribution_net
    from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
    from hierprob3d.pipelines.evaluate import evaluate
    from hierprob3d.pipelines.predict import predict
    from hierprob3d.pipelines.preprocess_3dpw import preprocess
    from hierprob3d.pipelines.results.person_plot import plot_person
    from hierprob3d.pipelines.results.run_folder import read_run
    from hierprob3d.transforms.batch.models import load_models
    from hierprob3d.transforms.prediction.annotator import Annotator

    __version__: str

__all__ = [
    "Annotator", "Body", "EvaluateConfig", "MatrixFisher", "ModelsConfig", "PredictConfig",
    "PreprocessConfig", "RefinementConfig", "RunConfig", "SamplingConfig", "SourceConfig",
    "__version__", "evaluate", "load_body", "load_distribution_net", "load_models", "plot_person",
    "predict", "preprocess", "read_run", "rebuild_mode", "rebuild_samples", "refine_bodies",
]  # fmt: skip

_HOMES = {
    "Annotator": "transforms.prediction.annotator",
    "Body": "model.body.mesh_body",
    "EvaluateConfig": "configs.evaluation",
    "MatrixFisher": "model.rotation.matrix_fisher",
    "ModelsConfig": "configs.prediction",
    "PredictConfig": "configs.prediction",
    "PreprocessConfig": "configs.preprocessing",
    "RefinementConfig": "configs.prediction",
    "RunConfig": "configs.prediction",
    "SamplingConfig": "configs.prediction",
    "SourceConfig": "configs.prediction",
    "evaluate": "pipelines.evaluate",
    "load_body": "model.body.mesh_body",
    "load_distribution_net": "model.network.checkpoints",
    "load_models": "transforms.batch.models",
    "plot_person": "pipelines.results.person_plot",
    "predict": "pipelines.predict",
    "preprocess": "pipelines.preprocess_3dpw",
    "read_run": "pipelines.results.run_folder",
    "rebuild_mode": "model.estimate.reconstruction",
    "rebuild_samples": "model.estimate.reconstruction",
    "refine_bodies": "model.estimate.refinement",
}
"""Module of each name, below `hierprob3d`."""

if not any(isinstance(finder, moved.MovedModules) for finder in sys.meta_path):
    sys.meta_path.append(moved.MovedModules())  # asked only for what nobody else finds


if not TYPE_CHECKING:  # else a type checker would admit any name

    def __getattr__(name: str) -> object:
        """The public name, loaded now and kept."""
        if name == "__version__":
            from importlib.metadata import version

            value: object = version(__name__)
        elif name in _HOMES:
            from importlib import import_module

            value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
