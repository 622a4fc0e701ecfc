"""How training's people and their pictures are made up."""

from __future__ import annotations

from dataclasses import dataclass, field

from .checks import check_at_least, check_renderer, check_shares


@dataclass(frozen=True, kw_only=True)
class HalvesConfig:
    """Shares of pictures that lose a part, from a line near the middle to one side."""

    bottom: float = 0.0
    """Lost below a line 0.3 to 0.7 of the way down."""
    top: float = 0.0
    """Lost above such a line."""
    side: float = 0.0
    """Lost left or right of the middle, give or take a thirtieth."""


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """How synthetic pictures are made; lengths in pixels refer to the 256 px crop.

    Every probability can be 0 and every range empty: that switches the augmentation off.
    """

    shape_std: float = 1.25
    """Standard deviation of the betas (the paper's)."""
    shape_clip: float = 2.5
    """Betas are clipped to this many units: a normal prior has a tail of bodies that no living
    person has (the paper clips none)."""
    lowest_second_beta: float = -2.0
    """The second beta, which goes with weight, is clipped to this from below."""
    focal_length: tuple[float, float] = (300.0, 900.0)
    """Range of focal lengths in pixels; the distance grows with it (the paper: 300)."""
    distance_per_focal: float = 2.5 / 300.0
    """Metres of distance per pixel of focal length: people keep their size (the paper's)."""
    distance_jitter: float = 0.2
    """Relative range of the distance about that (the paper: 0.5 m of 2.5 m)."""
    camera_pitch_std: float = 0.15
    """Deviation of the camera's pitch about the horizontal, radians: how far it looks from above or
    below (recombined poses only: recorded ones keep their view)."""
    camera_roll_std: float = 0.08
    """Deviation of its roll, radians (likewise)."""
    tumbled: float = 0.0
    """Share of people turned every way up, each as likely: who lie, dive, turn cartwheels or are
    seen from above are rare among recordings (recombined poses only)."""
    contorted: float = 0.0
    """Share of people whose joints are moved part of the way to anywhere within their limits
    (likewise)."""
    clothes_thickness: float = 0.0
    """Metres that the thickest jackets stand off the body (the paper: 0), trousers up to 0.6 and
    hair up to 1.2 times as far; each person's are drawn, thin ones the most often. Pictures show
    them, the truth is the body beneath."""
    camera_xy_std: float = 0.0
    """Deviation of the person from the optical axis, metres in each direction (the paper: 0.05)."""
    camera_offset: tuple[float, float] = (0.0, 0.0)
    """Metres by which the person lies right of and below the optical axis, on average (the paper: 0
    and -0.2)."""
    picture_size: float = 0.0
    """If not 0: side in pixels of the picture that the crop is cut from. Beyond its border the crop
    is black, keypoints count as outside and the box ends there; box_centre_jitter is in its pixels
    (the paper: 256)."""
    box_aspect: float = 0.75
    """Width over height of the crop's content, between black bars: as prediction cuts it. The
    paper trains with 1."""
    box_scale: float = 1.2
    """Side of the crop over that of the tight 3:4 box."""
    box_scale_jitter: float = 0.2
    """Range added to or taken from the box scale."""
    box_centre_jitter: float = 8.0
    """Range of the crop's displacement."""
    extreme_crop_probability: float = 0.15
    """Share of crops around a part of the body only (the paper: 0.1)."""
    extreme_crop_shares: tuple[float, float, float] = (0.5, 0.5, 0.0)
    """Relative frequency of these without the legs, without legs and arms (the paper's two), and
    without the lower legs: cut at the thighs."""
    truncation_probability: float = 0.25
    """Share of pictures whose frame ends inside the crop, on a random side."""
    occluder_probability: float = 0.25
    """Share of pictures with an object in front of the person."""
    missing_parts: tuple[float, ...] = (0.0,) * 24
    """Probability that the background shows in place of each DensePose part 1..24 (the paper: 0.1,
    and 0.05 for upper arms, thighs and head)."""
    missing_part_hides: float = 0.5
    """Probability that the keypoint at the end of a missing lower limb, hand or foot counts as
    hidden (the paper's)."""
    missing_box: float = 0.0
    """Share of pictures where the background shows through a square near the middle; keypoints
    there count as seen, as in the paper (0.1)."""
    missing_box_side: float = 48.0
    """Side of that square (the paper's)."""
    missing_halves: HalvesConfig = field(default_factory=HalvesConfig)
    """Halves where the background shows in place of the person; keypoints there count as hidden
    (the paper: bottom 0.02, top 0.005, side 0.05)."""
    black_halves: HalvesConfig = field(default_factory=HalvesConfig)
    """Halves that are black; keypoints there count as outside (the paper: as above)."""
    light_distance: tuple[float, float] | None = None
    """Range of the distance of a light from the pelvis, in any direction, metres (the paper: 0.05
    to 3); None: a distant light, mostly from above and in front."""
    ambient: tuple[float, float] = (0.3, 0.8)
    """Range of ambient light."""
    diffuse: tuple[float, float] = (0.3, 0.8)
    """Range of diffuse light."""
    specular: tuple[float, float] = (0.0, 0.0)
    """Range of the strength of highlights (the paper: 0 to 0.5)."""
    channel_noise: float = 0.2
    """Range of the gain of each colour channel (the paper's)."""
    pixel_noise: float = 0.03
    """Largest standard deviation of pixel noise."""
    max_blur: float = 1.0
    """Largest standard deviation of the blur, pixels."""
    renderer: str = "torch"
    """What rasterizes people: torch, our own, or pytorch3d, the paper's, where it is installed."""
    hidden_depth: float = 0.12
    """Metres behind the visible surface from which a keypoint counts as hidden by the body."""
    hidden_rule: str = "depth"
    """When the body hides a keypoint: "depth" as above, or "parts", the paper's: when no more than
    50 pixels of the limb's parts around it are seen."""

    def __post_init__(self) -> None:
        if len(self.missing_parts) != 24:
            raise ValueError(
                f"missing_parts must have 24 probabilities, got {len(self.missing_parts)}"
            )
        check_renderer(self.renderer, "data.synthesis.renderer")
        check_shares(self, "data.synthesis.tumbled", "data.synthesis.contorted")
        check_at_least(self, 0, "data.synthesis.clothes_thickness")
        if not 0 < self.box_aspect <= 1:
            raise ValueError(f"box_aspect must lie in 0..1, got {self.box_aspect}")
        if self.hidden_rule not in ("depth", "parts"):
            raise ValueError(f'hidden_rule must be "depth" or "parts", got {self.hidden_rule!r}')


@dataclass(frozen=True, kw_only=True)
class BackgroundConfig:
    """How photographs and drawn pictures become backgrounds."""

    drawn_share: float = 0.35
    """Share of drawn backgrounds where there are photographs (the paper: 0)."""
    num_drawn: int = 256
    """Drawn pictures that these are cut from."""
    crop: tuple[float, float] = (0.25, 1.0)
    """Range of the side of the square cut from a photograph, over its shorter side."""
    whole: bool = False
    """Photographs are pressed whole into the square, as the paper's, instead of cut."""
    mirrored: float = 0.5
    """Share of backgrounds shown mirrored (the paper: none)."""
    gain: tuple[float, float] = (0.6, 1.3)
    """Range of the factor on the brightness of photographs."""
    gigabytes: float = 4.0
    """Memory that photographs may fill, in each process; of a larger folder a random choice is
    used."""
    streamed: bool = False
    """Photographs are read from the disk as they are drawn, all of the folder's (the paper), and
    fill no memory; for fast disks and many processor cores."""

    def __post_init__(self) -> None:
        check_shares(self, *(f"data.background_look.{n}" for n in ("drawn_share", "mirrored")))
        check_at_least(self, 1, "data.background_look.num_drawn")
