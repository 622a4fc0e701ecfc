"""What the commands around training can be told; the training itself is `TrainConfig`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .checks import check, check_at_least, check_device
from .option import DEVICE, Option, Shortcut

_PAPER_SETTINGS = "pose_shape_cfg.yaml"

SMALLEST_SIDE = 128
"""Backgrounds are squares of this side at least, px."""


@dataclass(frozen=True, kw_only=True)
class TrainCommandConfig:
    """Train a distribution network on synthetic pictures; the same command resumes a killed run."""

    experiment: Annotated[str, Option(metavar="DIR", also=("-E", "--experiment_dir"))]
    """Folder of the run: rendered pictures, state, log.jsonl, weights/."""

    settings: Annotated[
        tuple[str, ...],
        Option(metavar="name=value", positional=True),
    ] = ()
    """Settings, for example optimiser.lr=1e-3 data.train_poses=poses.npz."""

    config: Annotated[str | None, Option(metavar="YAML")] = None
    """Settings that differ from configs/training.py, or the paper's own."""

    paper_settings: Annotated[
        tuple[tuple[str, str], ...],
        Option(metavar="KEY VAL", also=("-O", "--cfg_opts", "--pose_shape_cfg_opts")),
    ] = ()
    """Settings of the paper's training by their names there, over those of a paper's --config, such
    as TRAIN.NUM_EPOCHS 120."""

    resume_from_epoch: Annotated[int | None, Option(also=("-R",))] = None
    """Go on from checkpoints/epoch_NNN.tar of the folder, or from saved_models/epoch_NNN.tar of the
    paper's training, with the optimiser's state; its pose_shape_cfg.yaml is read unless --config is
    given. The same command goes on from where it stopped."""

    max_minutes: Annotated[float | None, Option(metavar="M")] = None
    """Save and end after so long; the same command goes on."""

    device: Annotated[str | None, DEVICE] = None
    """Where to compute: auto (cuda where there is one), cpu, cuda or cuda:N."""

    render_only: bool = False
    """Render the pictures and stop."""

    def __post_init__(self) -> None:
        if self.device is not None:
            check_device(self.device)
        check_at_least(self, 0, "--resume-from-epoch")
        for name in self._of_settings():
            check(
                all(word.partition("=")[0] != name for word in self.settings),
                f"--{name.replace('_', '-')} and {name}=... exclude each other",
            )

    @property
    def settings_file(self) -> str | None:
        """The file of settings: --config, or that of the paper's experiment to go on with."""
        papers = Path(self.experiment) / _PAPER_SETTINGS
        if self.config is None and self.resume_from_epoch is not None and papers.is_file():
            return str(papers)
        return self.config

    @property
    def all_settings(self) -> tuple[str, ...]:
        """The settings with those that have options of their own."""
        return (*self.settings, *(f"{name}={value}" for name, value in self._of_settings().items()))

    def _of_settings(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in ("max_minutes", "device")}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class PlotTrainingConfig:
    """Curves of several trainings in one picture, of ours and of the paper's code."""

    runs: Annotated[
        tuple[str, ...],
        Option(
            metavar="DIR",
            positional=True,
            shortcuts=(Shortcut(names=("--exp_dirs",), value="{}", metavar="DIR"),),
        ),
    ]
    """Folders of runs: with log.jsonl, or with the log.pkl of the paper's code."""

    output: Annotated[str, Option(metavar="FILE")]
    """PNG to write."""

    metric: Annotated[tuple[str, ...], Option(metavar="NAME", also=("-M", "--metric_to_plot"))] = ()
    """Losses and metrics to draw, with commas, such as total,MPJPE-PA; all where none is given."""


@dataclass(frozen=True, kw_only=True)
class AssessConfig:
    """All figures of a model card: weights on held-back synthetic people and on photographs."""

    output: Annotated[str, Option(metavar="DIR")]
    """Folder of assessment.json and assessment.md."""

    settings: Annotated[tuple[str, ...], Option(metavar="name=value", positional=True)] = ()
    """Settings as of `train`; data.train_poses=FILE gives the naive predictor its pose where the
    weights do not carry it."""

    weights: Annotated[str | None, Option(metavar="PATH")] = None
    """Distribution network; the bundled one where none is given."""

    poses: Annotated[str | None, Option(metavar="FILE")] = None
    """npz of held-back poses, otherwise data.val_poses, otherwise 140 bundled ones."""

    backgrounds: Annotated[str | None, Option(metavar="DIR")] = None
    """Photographs without people, otherwise data.val_backgrounds, otherwise all are drawn."""

    rendered: Annotated[str | None, Option(metavar="DIR")] = None
    """Pictures rendered already, such as val/ of a training; then none are made."""

    predictions: Annotated[str | None, Option(metavar="DIR")] = None
    """Output of `hierprob3d predict` with the same weights, for the table of photographs."""

    num_people: int = 2048
    """Rendered people."""

    num_detected: int = 1020
    """Rendered people, a quarter of them cut, who are found by the bundled detector and predicted
    with the keypoints of each bundled keypoint model; 0: none."""

    seed: int = 2110
    """Seed of all draws."""

    device: Annotated[str, DEVICE] = "auto"
    """Where to compute: auto (cuda where there is one), cpu, cuda or cuda:N."""

    config: Annotated[str | None, Option(metavar="YAML")] = None
    """Of the training: its look of the pictures and errors of keypoints are used."""

    def __post_init__(self) -> None:
        check_device(self.device)
        check_at_least(self, 1, "--num-people")
        check_at_least(self, 0, "--num-detected")
        check(
            not (self.rendered and (self.poses or self.backgrounds)),
            "--rendered pictures have poses and backgrounds: give no others",
        )


@dataclass(frozen=True, kw_only=True)
class BackgroundsConfig:
    """Backgrounds for training: photographs checked, shrunk and drawn evenly over their scenes.

    LSUN as its own export script leaves it (bedroom_train/a/b/.../KEY.webp), or any folder whose
    sub-folders are scenes. The same command goes on where it was stopped, and with a higher --limit
    adds to what is there.
    """

    folder: Annotated[str, Option(metavar="FOLDER", positional=True)]
    """Where the pictures lie, at any depth; its direct sub-folders are the scenes."""

    output: Annotated[str, Option(metavar="DIR")]
    """Folder for data.backgrounds: 000000.jpg ..."""

    limit: int | None = None
    """Pictures wanted, those of earlier runs included; all where it is not given."""

    size: Annotated[int, Option(metavar="PX")] = 384
    """Shorter side that larger pictures are shrunk to, px: of it, training cuts its squares."""

    scenes: Annotated[str, Option(metavar="PATTERN")] = "*"
    """Only these sub-folders, such as '*train*'."""

    without_people: bool = False
    """Leave out pictures in which MoveNet finds somebody."""

    device: Annotated[str, DEVICE] = "cpu"
    """Where people are looked for: auto (cuda where there is one), cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        check_device(self.device)
        check_at_least(self, SMALLEST_SIDE, "--size")
        check_at_least(self, 1, "--limit")
