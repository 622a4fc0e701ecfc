"""Modules of earlier versions: an import of one says where it went."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's; see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_PACKAGE = "hierprob3d."

_SAME_NAME = {
    "model.body": "body_file keypoint_body measurements skeleton",
    "model.estimate": "distribution_metrics metrics refinement uncertainty",
    "model.files": "mesh_files safe_pickle weight_files",
    "model.network": "checkpoints keypoint_lift pose_head",
    "model.people": "hrnet keypoint_estimators mask_rcnn movenet movenet_decoding person_detectors",
    "model.picture": "cameras canny crops drawing fixed_point_warp heatmaps proxy rasterizer",
    "model.rotation": (
        "matrix_fisher matrix_fisher_normalizer matrix_fisher_sampler random_streams "
        "rotations"
    ),
    "pipelines.command": "beam_options cli usage",
    "pipelines.evaluation": "comparison evaluation_report evaluation_summary",
    "pipelines.results": (
        "photo_figures report_page report_pictures run_folder run_summary smpl_sequences"
    ),
    "pipelines.run": "earlier_rows execution manifest progress summary",
    "training.assessment": (
        "assessment assessment_report contact_sheet evaluation_set person_metrics validation"
    ),
    "training.learning": (
        "batch_parts initial_net learner losses optimisation readout schedule small_maps "
        "sparse_body"
    ),
    "training.look": (
        "backgrounds clothing drawn_rooms lighting occlusion picture_bank surface "
        "texture_maps textures thick_clothes"
    ),
    "training.people": (
        "augmentation bare_people framing people_description people_setup people_source "
        "posed_people rendered_people rendered_set"
    ),
    "training.poses": "joint_limits pose_file",
    "training.random": "draws",
    "training.run": "distributed loss_plot run_log run_state stopping",
    "transforms.batch": "clock isolation models",
    "transforms.datasets": "pw3d pw3d_preprocess pw3d_schema pw3d_sequences ssp3d",
    "transforms.evaluation": "evaluation_models evaluation_shards",
    "transforms.inputs": "input_lists items planning videos",
    "transforms.prediction": "annotator decoding detection",
    "transforms.store": "file_names locking",
    "transforms.tables": "evaluation_schema rows schema",
}
"""Modules that lay in a room and now lie in its sub-package, under the same name."""

_NEW_NAME = {
    "configs.evaluate": "configs.evaluation",
    "configs.predict": "configs.prediction",
    "configs.preprocess": "configs.preprocessing",
    "model.body": "model.body.mesh_body",
    "model.network": "model.network.distribution_net",
    "model.pictures": "model.picture.pixels",
    "model.reconstruct": "model.estimate.reconstruction",
    "pipelines.evaluation_options": "pipelines.command.options",
    "pipelines.options": "pipelines.command.options",
    "pipelines.worker": "pipelines.run.worker_process",
    "pipelines.workers": "pipelines.run.worker_plan",
    "training.bodies": "training.learning.loss_arguments",
    "training.cli": "training.train_command",
    "training.npz_files": "model.files.npz_files",
    "training.poses": "training.poses.pose_sampler",
    "training.self_intersection": "model.body.self_intersection",
    "training.synthetic": "training.people.synthetic_pictures",
    "transforms.datasets": "transforms.datasets.labels",
    "transforms.distribution": "transforms.prediction.distributions",
    "transforms.drawing": "transforms.prediction.drawn_pictures",
    "transforms.evaluation": "transforms.evaluation.evaluator",
    "transforms.metrics": "transforms.evaluation.totals",
    "transforms.pictures": "transforms.inputs.picture_files",
    "transforms.proxy": "transforms.prediction.proxies",
    "transforms.refinement": "transforms.prediction.refined_bodies",
    "transforms.sampling": "transforms.prediction.sampled_bodies",
    "transforms.shards": "transforms.prediction.dofns",
    "transforms.sources": "transforms.inputs.listing",
    "transforms.store": "transforms.store.output_folder",
}


def moved_modules() -> dict[str, str]:
    """Old name → new name of all modules that moved, both below `hierprob3d`."""
    kept = {
        f"{room.split('.')[0]}.{name}": f"{room}.{name}"
        for room, names in _SAME_NAME.items()
        for name in names.split()
    }
    return kept | _NEW_NAME


class MovedModules:
    """A finder of modules that finds none: it is asked last, and says where an old one went."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, as a finder answers that does not know the module.

        Raises:
            ModuleNotFoundError: The name is that of a module that moved, or is asked of a package
                that has taken the name of a module that moved into it.
        """
        if not fullname.startswith(_PACKAGE):
            return None
        name = fullname.removeprefix(_PACKAGE)
        moved = moved_modules()
        old = name if name in moved else name.rpartition(".")[0]
        if old not in moved:
            return None
        raise ModuleNotFoundError(
            f"there is no {fullname}: what was in {old} is now in {_PACKAGE}{moved[old]}"
        )
