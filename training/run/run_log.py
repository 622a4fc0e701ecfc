"""The log of a run: lines on the console, log.jsonl, TensorBoard, and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from hierprob3d.model.files.weight_files import whole_files
from hierprob3d.model.picture.drawing import Picture

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TRAINING, VALIDATION = "training", "validation"
"""Kinds of lines."""

_logger = logging.getLogger(__name__)


class RunLog:
    """Writes log.jsonl, pictures/ and tensorboard/ in the folder of a run.

    Args:
        folder: of the run.
        tensorboard: also write TensorBoard's files, if that is installed.
        step: how many steps are done; what there is of later ones is dropped.
    """

    def __init__(self, folder: Path, tensorboard: bool, step: int) -> None:
        self.path = folder / "log.jsonl"
        _drop_later_lines(self.path, step)
        self._pictures = folder / "pictures"
        self._writer = _summary_writer(folder / "tensorboard", step) if tensorboard else None

    def write(self, kind: str, values: Mapping[str, float]) -> None:
        """One line of what is known at `values["step"]`.

        Args:
            kind: TRAINING or VALIDATION.
            values: numbers by name.
        """
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\n")
        _logger.info(" ".join(_readable(name, value) for name, value in values.items()))
        if self._writer is not None:
            for name, value in values.items():
                if name not in ("step", "of"):
                    self._writer.add_scalar(f"{kind}/{name}", value, int(values["step"]))

    def picture(self, name: str, picture: Picture, step: int) -> None:
        """Writes pictures/NAME.png.

        Args:
            name: of the file, without ending; `name/more` goes to a folder.
            picture: (H, W, 3) uint8 RGB.
            step: step of the run that it shows.
        """
        write_png(self._pictures / f"{name}.png", picture)
        if self._writer is not None:
            self._writer.add_image(name.split("/")[0], picture, step, dataformats="HWC")

    def close(self) -> None:
        """Hands the last lines to TensorBoard."""
        if self._writer is not None:
            self._writer.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """Lines of log.jsonl, one for each kind and step: those of a repeated stretch count once.

    A line that a killed run left unfinished is passed over. No file, no lines: a run begins so.
    """
    if not path.exists():
        return []
    lines: dict[tuple[str, int], dict[str, float]] = {}
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        lines[line["kind"], line["step"]] = line
    return list(lines.values())


def write_png(path: Path, picture: Picture) -> None:
    """Writes a picture whole, in place of an earlier one.

    Raises:
        OSError: there is no room.
    """
    _, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with whole_files([path]) as [unfinished]:
        unfinished.write_bytes(content.tobytes())


def readable_minutes(minutes: float) -> str:
    """For example `0.4 min`, `12 min`, `3 h 05 min`."""
    if minutes < 10:
        return f"{minutes:.1f} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest:02d} min" if hours else f"{rest} min"


def _drop_later_lines(path: Path, step: int) -> None:
    """Drops lines of steps that come again, and the one that a killed run left unfinished."""
    lines = read_log(path)
    kept = [line for line in lines if line["step"] <= step]
    if path.exists() and (len(kept) < len(lines) or not path.read_bytes().endswith(b"\n")):
        with whole_files([path]) as [unfinished]:
            unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept))


def _readable(name: str, value: float) -> str:
    return f"left={readable_minutes(value)}" if name == "minutes_left" else f"{name}={value}"


def _summary_writer(folder: Path, step: int) -> SummaryWriter | None:
    """TensorBoard's writer, None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _logger.info("no TensorBoard files: install hierprob3d[train]; log.jsonl holds the same")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
