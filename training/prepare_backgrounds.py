"""Backgrounds for training: photographs checked, shrunk and drawn evenly over a folder's scenes.

LSUN as its own export script leaves it (bedroom_train/a/b/.../KEY.webp), or any folder whose
sub-folders are scenes. The same command goes on where it was stopped, and with a higher --limit
adds to what is there.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hierprob3d.configs.training_commands import SMALLEST_SIDE, BackgroundsConfig
from hierprob3d.model.files.weight_files import whole_files
from hierprob3d.model.network.device import resolve_device
from hierprob3d.model.people.person_detectors import MoveNetDetector
from hierprob3d.training.look.backgrounds import EXTENSIONS

KEPT, UNREADABLE, TOO_SMALL, PEOPLE = "kept", "unreadable", "too small", "with people"
RECORD = "prepared.jsonl"
"""File beside the pictures: the settings, then what became of each source."""

_QUALITY = 95
_BATCH = 64
_logger = logging.getLogger(__name__)


def run(config: BackgroundsConfig) -> int:
    """Prepares the pictures and prints what became of them; exit code 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    counts = prepare_backgrounds(config)
    print(f"{config.output}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


def prepare_backgrounds(config: BackgroundsConfig) -> Counter[str]:
    """Writes numbered JPEGs and their record; how many sources were kept, unreadable and so on.

    Raises:
        FileNotFoundError: the folder is missing or holds no picture.
        ValueError: the output belongs to other settings, no picture can be used, or there is no
            such device.
    """
    folder, output = Path(config.folder).absolute(), Path(config.output)
    device = resolve_device(config.device)
    sources = _in_turn(_scenes(folder, config.scenes, output))
    output.mkdir(parents=True, exist_ok=True)
    record = _Record(output / RECORD, _settings(config))
    detector = MoveNetDetector(device=device) if config.without_people else None
    wanted = len(sources) if config.limit is None else config.limit
    todo = (source for source in sources if source not in record.outcomes)
    with ThreadPoolExecutor() as pool:
        while record.counts[KEPT] < wanted and (batch := list(itertools.islice(todo, _BATCH))):
            paths = [folder / source for source in batch]
            pictures = list(pool.map(_read, paths, itertools.repeat(config.size)))
            for source, result in zip(batch, _without_people(pictures, detector), strict=True):
                if record.counts[KEPT] < wanted:
                    record.add(source, result)
            seen = len(record.outcomes)
            _logger.info("%d of %d pictures seen: %s", seen, len(sources), dict(record.counts))
    if not record.counts[KEPT]:
        raise ValueError(f"none of {folder} can be used: {dict(record.counts)}")
    return record.counts


def _settings(config: BackgroundsConfig) -> str:
    """What decides which pictures come out, as the record's first line."""
    names = ("folder", "scenes", "size", "without_people")
    folder = str(Path(config.folder).absolute())
    return json.dumps({name: getattr(config, name) for name in names} | {"folder": folder})


class _Record:
    """What became of each source, appended to a file as it happens."""

    def __init__(self, path: Path, settings: str) -> None:
        self.path = path
        whole_lines, _, torn = (path.read_text() if path.exists() else "").rpartition("\n")
        if not whole_lines and any(path.parent.glob("*.jpg")):
            raise ValueError(f"{path.parent} holds other pictures; choose another --output")
        first, *lines = whole_lines.splitlines() or [settings]
        if first != settings:
            raise ValueError(f"{path.parent} was made with {first}; choose another --output")
        if torn or not whole_lines:  # the line of a killed run is dropped, its source done again
            path.write_text("\n".join([first, *lines, ""]))
        self.outcomes: dict[str, str] = dict(map(json.loads, lines))
        self.counts = Counter(self.outcomes.values())

    def add(self, source: str, result: Image.Image | str) -> None:
        """Writes the picture, if it is one, under the next number, then the line."""
        outcome = result if isinstance(result, str) else KEPT
        if not isinstance(result, str):
            path = self.path.with_name(f"{self.counts[KEPT]:06d}.jpg")
            with whole_files([path]) as [unfinished]:
                result.save(unfinished, "JPEG", quality=_QUALITY)
        with self.path.open("a") as file:
            file.write(json.dumps([source, outcome]) + "\n")
        self.outcomes[source] = outcome
        self.counts[outcome] += 1


def _scenes(folder: Path, pattern: str, output: Path) -> list[list[str]]:
    """Pictures of each scene, shuffled, as paths within the folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if output.absolute().is_relative_to(folder):
        raise ValueError(f"{output} lies in {folder}; choose an --output outside")
    scenes: dict[str, list[str]] = {}
    for path in sorted(_pictures(folder)):
        scene = Path(path).parts[0] if os.sep in path else ""
        if fnmatch(scene, pattern):
            scenes.setdefault(scene, []).append(path)
    if not scenes:
        raise FileNotFoundError(
            f"no {', '.join(sorted(EXTENSIONS))} in a sub-folder {pattern} of {folder}; "
            "LSUN's lmdb files must be exported first (fyu/lsun, data.py export)"
        )
    rng = np.random.default_rng(0)
    return [[scene[i] for i in rng.permutation(len(scene))] for scene in scenes.values()]


def _pictures(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                yield os.path.relpath(os.path.join(place, name), folder)


def _in_turn(scenes: list[list[str]]) -> list[str]:
    """One picture of each scene, then the next of each, until all are used up."""
    turns = itertools.zip_longest(*scenes)
    return [source for turn in turns for source in turn if source is not None]


def _read(path: Path, size: int) -> Image.Image | str:
    """The picture, wholly decoded and shrunk, or why it cannot be used."""
    try:
        with Image.open(path) as opened:
            shorter, longer = sorted(opened.size)
            if shorter < SMALLEST_SIDE:
                return TOO_SMALL
            box = math.ceil(longer * size / shorter)
            opened.thumbnail((box, box), reducing_gap=2.0)  # never enlarges
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return UNREADABLE


def _without_people(
    pictures: Sequence[Image.Image | str], detector: MoveNetDetector | None
) -> list[Image.Image | str]:
    """The same with PEOPLE in place of pictures in which the detector finds somebody."""
    results = list(pictures)
    if detector is None:
        return results
    looked_at = [i for i, picture in enumerate(results) if not isinstance(picture, str)]
    found = detector.detect_batch([np.asarray(results[i]) for i in looked_at])
    for index, people in zip(looked_at, found, strict=True):
        if len(people):
            results[index] = PEOPLE
    return results
