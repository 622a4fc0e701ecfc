"""What decides the layout of the network and the meaning of its weights."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from hierprob3d.configs.proxy_look import ProxyLook

from .pose_head import SIGN_RULES

NUM_LAYERS = (18, 50)
INPUT_STRIDES = (1, 2, 4)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What decides the layout of the network and the meaning of its weights."""

    num_layers: int = 18
    """Layers of the ResNet encoder: 18 or 50."""

    sign_rule: str = "paper"
    """How ancestors condition joints, "paper" or "invariant"; see `network.pose_head.PoseHead`."""

    input_stride: int = 1
    """2 or 4: the encoder sees the proxy averaged over so many pixels in each direction; 1: as it
    is, like the paper's."""

    embed_dim: int = 256
    """Width of the embedding that the joints' heads read; those are half as wide."""

    global_spread: bool = False
    """A further layer gives the global rotation a distribution too (not in the paper)."""

    keypoint_lift: bool = False
    """A further branch reads the heatmaps' coordinates, see `network.keypoint_lift` (not in the
    paper)."""

    @classmethod
    def of(cls, settings: Any) -> NetworkConfig:
        """Those of another configuration that has settings of the same names."""
        return cls(**{setting.name: getattr(settings, setting.name) for setting in fields(cls)})

    def __post_init__(self) -> None:
        for name, allowed in (
            ("num_layers", NUM_LAYERS),
            ("sign_rule", SIGN_RULES),
            ("input_stride", INPUT_STRIDES),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}.")


@dataclass(frozen=True, kw_only=True)
class LiftConfig:
    """Layout of the network that reads coordinates instead of pictures, see `network.lift_net`."""

    width: int = 1024
    """Numbers between its layers."""

    blocks: int = 4
    """Residual blocks of two layers each."""

    doubt: bool = False
    """What says how sure a body is reads the coordinates too, and how far the finders disagree, and
    has temperatures of its own for people without landmarks."""

    global_spread: ClassVar[bool] = True
    """The global rotation always has a distribution."""

    num_layers: ClassVar[int] = 0
    """There is no ResNet."""

    input_stride: ClassVar[int] = max(INPUT_STRIDES)
    """No picture is read: any will do, and the coarsest take the least room."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"a lift has width >= 1 and blocks >= 0, got {self}.")


_BODY_FAMILIES = ("smpl", "openbody")


@dataclass(frozen=True, kw_only=True)
class WeightsMetadata:
    """What must be known about weights besides their numbers."""

    body_family: str
    """Body whose pose and shape the weights speak of: "smpl" or "openbody"."""

    sign_rule: str
    """As `NetworkConfig.sign_rule`."""

    input_stride: int = 1
    """As `NetworkConfig.input_stride`."""

    num_layers: int = 18
    """As `NetworkConfig.num_layers`."""

    embed_dim: int = 256
    """As `NetworkConfig.embed_dim`."""

    global_spread: bool = False
    """As `NetworkConfig.global_spread`."""

    keypoint_lift: bool = False
    """As `NetworkConfig.keypoint_lift`."""

    lift_width: int = 0
    """As `LiftConfig.width`; 0: the network reads proxies, and is a `DistributionNet`."""

    lift_blocks: int = 0
    """As `LiftConfig.blocks`."""

    lift_doubt: bool = False
    """As `LiftConfig.doubt`."""

    keypoint_visibility: str = ""
    """Which keypoints, and from what confidence on, were drawn in the proxies of the training."""

    proxy: dict[str, Any] = field(default_factory=dict)
    """In what the edges and heatmaps of the training differed from the paper's, by the names of
    `configs.proxy_look.ProxyLook`."""

    provenance: dict[str, Any] = field(default_factory=dict)
    """Data, code version, steps, validation numbers: whatever JSON can hold."""

    def __post_init__(self) -> None:
        if self.body_family not in _BODY_FAMILIES:
            raise ValueError(
                f"body_family must be one of {_BODY_FAMILIES}, got {self.body_family!r}."
            )
        self.network_config()  # checks the fields it shares with the network
        ProxyLook(**self.proxy)

    def network_config(self) -> NetworkConfig | LiftConfig:
        """Configuration of the network that the weights fit."""
        if self.lift_width:
            return LiftConfig(width=self.lift_width, blocks=self.lift_blocks, doubt=self.lift_doubt)
        return NetworkConfig.of(self)
