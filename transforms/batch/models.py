"""The networks and the body model of a run, loaded once per process."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from hierprob3d.configs.paper_inference import ProxySettings, read_proxy_settings
from hierprob3d.configs.prediction import ModelsConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.estimate.in_view import surface_shares
from hierprob3d.model.inference.inference_engine import TORCH, InferenceEngine
from hierprob3d.model.inference.network_source import by_torch
from hierprob3d.model.network.checkpoints import (
    BodyNet,
    load_distribution_net,
    sha256_of,
    weights_path,
)
from hierprob3d.model.network.device import resolve_device
from hierprob3d.model.network.distribution_net import NUM_PROXY_CHANNELS, DistributionNet
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.network.shape_net import SHAPE_NET_PATH, ShapeNet, load_shape_net
from hierprob3d.model.people.blazepose import BLAZEPOSE_PATH
from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.keypoint_estimators import KeypointEstimator, MoveNetKeypoints
from hierprob3d.model.people.movenet import MULTIPOSE_PATH, THUNDER_PATH
from hierprob3d.model.people.person_detectors import (
    MaskRCNNDetector,
    MoveNetDetector,
    PersonDetector,
)
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR
from hierprob3d.model.picture.proxy import PROXY_SIZE

from .library_pages import release_library_pages

_LOADING = threading.Lock()
SETTINGS_KEPT = 4
"""Of how many configurations a process keeps what it loaded: a notebook may run many."""

BUNDLED_KEYPOINT_MODELS: dict[str, type[MoveNetKeypoints | BlazePoseKeypoints]] = {
    "movenet": MoveNetKeypoints, "blazepose": BlazePoseKeypoints
}  # fmt: skip
_BUNDLED_KEYPOINTS = {"movenet": THUNDER_PATH, "blazepose": BLAZEPOSE_PATH}


@dataclass(frozen=True, kw_only=True)
class BodyModels:
    """What bodies are placed, sampled and drawn with: no network."""

    body: Body
    device: torch.device
    threshold: float
    """Confidence above which a limb keypoint counts as visible."""

    always_visible: tuple[int, ...] = ()
    """Keypoints that the network sees whatever their confidence."""

    proxy: ProxySettings = ProxySettings()
    """How crops become the network's input."""

    engines: Mapping[str, str] = field(default_factory=dict)
    """What runs each network, by its part."""

    @cached_property
    def keypoint_body(self) -> KeypointBody:
        """The body reduced to its keypoints, made when first asked for."""
        return KeypointBody(self.body)

    @cached_property
    def surface_shares(self) -> Tensor:
        """Share (V,) of the body's surface that belongs to each vertex."""
        return surface_shares(self.body.v_template, self.body.faces)


@dataclass(frozen=True, kw_only=True)
class Models(BodyModels):
    """Everything that computes, ready to use."""

    detector: PersonDetector | None
    """None: the pictures are cropped and centred on their person."""

    keypoints: KeypointEstimator
    net: BodyNet
    measurer: BodyMeasurer

    shape_net: ShapeNet | None = None
    """Tells shapes by silhouettes, of the body that the bundled weights are of; None: those of the
    weights stand."""


def load_models(config: ModelsConfig) -> Models:
    """The models of a configuration; the same objects for every caller in this process.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged or foreign, weights and body model do not belong together,
            or there is no GPU for `cuda`.
    """
    with _LOADING, torch.inference_mode(False):  # those after the first caller may want gradients
        return _load_models(config)


def load_models_of(config: ModelsConfig, gender: str | None) -> Models:
    """As `load_models`, with the body model of that gender; the networks are the same objects.

    Raises:
        FileNotFoundError, ValueError: --body-model has none of that gender.
    """
    models = load_models(config)
    if gender in (None, models.body.gender):
        return models
    with _LOADING, torch.inference_mode(False):
        return _with_body(config, str(gender))


def body_identity(config: ModelsConfig, body: Body) -> dict[str, str]:
    """What the metadata of a people part say of the body model."""
    return {
        "body_family": body.family,
        "body_gender": body.gender,
        "body_sha256": body.sha256,
        "body_model": "open" if config.body_model == "open" else os.path.abspath(body.path),
    }


def use_threads(num_threads: int) -> None:
    """Limits the threads of torch and OpenCV in this process."""
    torch.set_num_threads(num_threads)
    cv2.setNumThreads(num_threads)


def model_files(config: ModelsConfig) -> dict[str, Path]:
    """The files that the models of a configuration are read from, by their part."""
    models = load_models(config)
    files = {"weights": weights_path(config.weights), "body_model": models.body.path}
    if models.shape_net is not None:
        files["shape"] = SHAPE_NET_PATH
    if config.detector != "none":
        files["detector"] = model_path(config, "detector")
    files["keypoints"] = model_path(config, "keypoints")
    return files


def model_path(config: ModelsConfig, part: str) -> Path:
    """Where the weights of the detector or of the keypoint model (`keypoints`) lie."""
    if part == "detector":
        return detector_path(config)
    return keypoints_path(config.keypoints, config.keypoint_weights)


def keypoints_path(kind: str, weights: str | None) -> Path:
    """Where the weights of a keypoint model lie: those given, or else its bundled ones."""
    return Path(weights) if weights else _BUNDLED_KEYPOINTS[kind]


def model_hashes(config: ModelsConfig) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of every file that the models of a configuration are read from."""
    return file_hashes(model_files(config))


def file_hashes(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of files, by their part."""
    return {part: {"path": str(path), "sha256": sha256_of(path)} for part, path in files.items()}


def detector_path(config: ModelsConfig) -> Path:
    """Where the person detector's weights lie; those of Mask R-CNN once they are downloaded."""
    if config.detector_weights:
        return Path(config.detector_weights)
    if config.detector == "movenet":
        return MULTIPOSE_PATH
    from hierprob3d.model.people.mask_rcnn import downloaded_path  # takes torchvision

    return downloaded_path()


def check_same_body(net: BodyNet, body: Body, weights: str | None, body_model: str) -> None:
    """Raise ValueError, with the files' names, if the weights are for another body model."""
    if net.body_family != body.family:
        raise ValueError(
            f"The weights {weights_path(weights)} are for the body '{net.body_family}', but "
            f"--body-model {body_model} is '{body.family}': give weights and body model "
            "that belong together."
        )


def proxy_settings(path: str | None, net: BodyNet) -> ProxySettings:
    """How a network's input is made: as the paper's settings file says, else as it was trained.

    Raises:
        FileNotFoundError, ValueError: as of `read_proxy_settings`; or the file is of another
            network.
    """
    if path is None:
        return ProxySettings(**(net.metadata.proxy if net.metadata else {}))
    proxy = read_proxy_settings(path)
    if isinstance(net, LiftNet):
        raise ValueError(
            f"{path} is about pictures of edges and heatmaps, which the weights do not read: give "
            "--weights that belong to it."
        )
    for name, given, found in (
        ("NUM_RESNET_LAYERS", proxy.num_layers, net.config.num_layers),
        ("EMBED_DIM", proxy.embed_dim, net.config.embed_dim),
    ):
        if given not in (None, found):
            raise ValueError(
                f"{path}: MODEL.{name} is {given}, but the weights have {found}: give the file "
                "that belongs to the weights."
            )
    return proxy


def keypoint_estimator(
    kind: str,
    weights: str | None,
    device: torch.device,
    box_scale: float = BOX_SCALE_FACTOR,
    engine: InferenceEngine | None = None,
) -> KeypointEstimator:
    """The keypoint model of a name: `hrnet` (with a file of weights), or a bundled one.

    An engine, where one is given, runs its network.
    """
    # Confidences of HRNet hang on the last bits, as rotations of the paper's weights do.
    source = engine.source_of("keypoints", by_default=kind != "hrnet") if engine else by_torch
    path = keypoints_path(kind, weights)
    if kind == "hrnet":
        from hierprob3d.model.people.hrnet_keypoints import HRNetKeypoints  # takes torchvision

        return HRNetKeypoints(path, device, box_scale=box_scale, source=source)
    return BUNDLED_KEYPOINT_MODELS[kind](path, device, source=source)


@lru_cache(maxsize=SETTINGS_KEPT)
def _load_models(config: ModelsConfig) -> Models:
    device = resolve_device(config.device)
    if device.type == "cpu":
        release_library_pages()
    body = load_body(config.body_model, config.gender)
    net = load_distribution_net(weights_path(config.weights), device)
    check_same_body(net, body, config.weights, config.body_model)
    proxy = proxy_settings(config.pose_shape_cfg, net)
    # Convolutions of the proxies take a third less time in this layout, with the same result.
    if isinstance(net, DistributionNet):
        net.image_encoder.to(memory_format=torch.channels_last)
    engine = InferenceEngine(config.engine, device)
    detector = _detector(config, device, proxy, engine)
    keypoints = keypoint_estimator(
        config.keypoints, config.keypoint_weights, device, proxy.box_scale, engine
    )
    _put_encoder_on(engine, net, config)
    threshold = config.keypoint_threshold
    body = body.to(device).eval()
    return Models(
        detector=detector,
        keypoints=keypoints,
        always_visible=keypoints.always_visible,
        net=net,
        body=body,
        measurer=BodyMeasurer(body),
        shape_net=_shape_net(net, keypoints, device),
        device=device,
        threshold=keypoints.visibility_threshold if threshold is None else threshold,
        proxy=proxy,
        engines=engine.ran,
    )


def _shape_net(net: BodyNet, keypoints: KeypointEstimator, device: torch.device) -> ShapeNet | None:
    """The bundled network of shapes, beside weights that see no silhouette themselves."""
    if not isinstance(net, LiftNet) or net.body_family != "openbody":
        return None
    return load_shape_net(device=device) if isinstance(keypoints, BlazePoseKeypoints) else None


@lru_cache(maxsize=SETTINGS_KEPT)
def _with_body(config: ModelsConfig, gender: str) -> Models:
    models = _load_models(config)
    body = load_body(config.body_model, gender).to(models.device).eval()
    return replace(models, body=body, measurer=BodyMeasurer(body))


def _put_encoder_on(engine: InferenceEngine, net: BodyNet, config: ModelsConfig) -> None:
    """Puts the encoder's converted form in its place, where the engine was asked for by name."""
    if isinstance(net, DistributionNet):
        encoder = net.image_encoder
        side = PROXY_SIZE // net.config.input_stride
        example = torch.linspace(0, 1, NUM_PROXY_CHANNELS * side**2).view(1, -1, side, side)
        path = weights_path(config.weights)
        net.image_encoder = engine.network(
            "encoder", lambda: encoder, type(encoder), path, by_default=False, example=example
        )


def _detector(
    config: ModelsConfig, device: torch.device, proxy: ProxySettings, engine: InferenceEngine
) -> PersonDetector | None:
    if config.detector == "none":
        return None
    threshold = config.detector_threshold
    threshold = proxy.detector_threshold if threshold is None else threshold
    wanted: dict[str, Any] = {} if threshold is None else {"min_score": threshold}
    if config.detector == "maskrcnn":
        engine.ran["detector"] = f"{TORCH} {torch.__version__}"
        return MaskRCNNDetector(config.detector_weights, device, **wanted)
    source = engine.source_of("detector")
    return MoveNetDetector(config.detector_weights, device, source=source, **wanted)
