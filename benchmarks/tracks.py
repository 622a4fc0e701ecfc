"""How well tracks know people, what smoothing does to a motion, and how fast `track` is.

    python -m benchmarks.tracks judge [--output DIR] [--scenes 3] [--people 4] [--seconds 4]
    python -m benchmarks.tracks speed [--frames 3000] [--people 5]

`judge` renders walkers (benchmarks/walkers.py), runs `predict` and `track` on them, and compares
with the truth; a --output that has these already is judged again. `speed` times a worker's part of
`track` for one video, from the stored rows to those of tracks/.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from benchmarks.timing import seconds
from benchmarks.walkers import Truth, render_scene, walking_scene
from scipy.optimize import linear_sum_assignment

from hierprob3d.model.body.mesh_body import joint_transforms, load_body
from hierprob3d.model.estimate.metrics import point_errors
from hierprob3d.model.motion.bridges import bridges
from hierprob3d.model.motion.resampling import between_values
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.pipelines.command.cli import main as hierprob3d
from hierprob3d.pipelines.results.people_groups import PeopleGroup
from hierprob3d.pipelines.results.run_folder import read_run
from hierprob3d.transforms.tables.rows import table_of
from hierprob3d.transforms.tracking.track_rows import track_rows
from hierprob3d.transforms.tracking.video_people import VIDEO_PEOPLE, numbers

_FPS = 25
_MIN_OVERLAP = 0.5
"""Of boxes that show the same person."""

_MIN_VISIBLE = 0.25
"""Share of a person's pixels below which nobody need find it."""


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    judge = commands.add_parser("judge")
    judge.add_argument("--output", type=Path, default=Path("walkers"))
    judge.add_argument("--scenes", type=int, default=3)
    judge.add_argument("--people", type=int, default=4)
    judge.add_argument("--seconds", type=float, default=4.0)
    judge.set_defaults(run=_judge)
    speed = commands.add_parser("speed")
    speed.add_argument("--frames", type=int, default=3000)
    speed.add_argument("--people", type=int, default=5)
    speed.set_defaults(run=_speed)
    args = parser.parse_args()
    args.run(args)


def _judge(args: argparse.Namespace) -> None:
    videos, output = args.output / "videos", args.output / "run"
    videos.mkdir(parents=True, exist_ok=True)
    truths = {}
    for seed in range(args.scenes):
        path, stored = videos / f"walkers{seed}.mp4", videos / f"walkers{seed}.npz"
        if not stored.exists():
            scene = walking_scene(seed, args.people, args.seconds, _FPS)
            np.savez(stored, **dataclasses.asdict(render_scene(scene, path, _FPS, seed)))
        truths[str(path.resolve())] = Truth(**np.load(stored))
    words = [str(videos / "*.mp4"), "--output", str(output), "--no-uncertainty"]
    assert hierprob3d(["predict", *words]) == 0
    assert hierprob3d(["track", str(output)]) == 0
    print_judgement(output, truths)


def print_judgement(output: Path, truths: dict[str, Truth]) -> None:
    """Compares a run and its tracks with the truth of its videos, by their absolute paths."""
    run = read_run(output)
    matches = [(video, truths[video.uri], *matched(video, truths[video.uri]))
               for video in run.by_video()]  # fmt: skip
    for video, truth, rows, who in matches:
        tracks = tracked_boxes(run.tracks().filter(pc.field("uri") == video.uri))
        found = identity_figures(video, tracks, truth, rows, who)
        print(f"{Path(video.uri).name}: " + ", ".join(f"{k} {v}" for k, v in found.items()))
    for kind in ("raw", "smoothed"):
        errors = [motion_errors(*match, smoothed=kind == "smoothed") for match in matches]
        pa, acceleration = (np.concatenate([each[i] for each in errors]) for i in (0, 1))
        print(
            f"{kind:>9}: MPJPE-PA {1000 * pa.mean():.1f} mm, "
            f"acceleration error {acceleration.mean():.2f} m/s^2"
        )


def matched(video: PeopleGroup, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a video that show somebody, and who that is.

    By the overlap of boxes, and by CLEAR's rule: who was matched to a track stays so as long as
    both overlap.
    """
    arrays, rows, who = video.arrays(), list[int](), list[int]()
    earlier = set[tuple[int, int]]()
    for frame in range(len(truth.boxes)):
        here = np.flatnonzero(arrays["frame_index"] == frame)
        tracks = arrays["track_id"][here].astype(int)
        overlap = _overlaps(arrays["bbox"][here], truth.boxes[frame])
        stays = [[(track, person) in earlier for person in range(overlap.shape[1])]
                 for track in tracks]  # fmt: skip
        worth = np.where(overlap >= _MIN_OVERLAP, overlap + np.reshape(stays, overlap.shape), 0)
        pairs = [(row, person) for row, person in zip(*linear_sum_assignment(-worth), strict=True)
                 if worth[row, person]]  # fmt: skip
        earlier = {(track, person) for track, person in earlier
                   if person not in {person for _, person in pairs}}  # fmt: skip
        earlier |= {(tracks[row], person) for row, person in pairs}
        rows += [int(here[row]) for row, _ in pairs]
        who += [int(person) for _, person in pairs]
    return np.array(rows), np.array(who)


def identity_figures(
    video: PeopleGroup, tracks: TrackedBoxes, truth: Truth, rows: np.ndarray, who: np.ndarray
) -> dict[str, float]:
    """IDF1, switches and counts of a video's tracks; "bridged" with the rows in their gaps.

    The best possible IDF1 is that of the same boxes, each frame for itself given to the person whom
    they overlap most, and those gaps bridged.
    """
    arrays = video.arrays()
    track_ids, frames = (arrays[name].astype(int) for name in ("track_id", "frame_index"))
    switches = sum(
        int((np.diff(track_ids[rows[who == person]]) != 0).sum()) for person in np.unique(who)
    )
    best = _by_truth(tracks.seen(), truth)
    return {
        "people": truth.boxes.shape[1],
        "rows": len(track_ids),
        "tracks": int(track_ids.max() + 1),
        "IDF1": round(idf1(tracks.seen(), truth), 3),
        "best possible": round(idf1(best, truth), 3),
        "IDF1 bridged": round(idf1(tracks, truth), 3),
        "best bridged": round(idf1(_bridged(best), truth), 3),
        "switches": switches,
        "found": round(len(rows) / int(_asked(tracks.seen(), truth).sum()), 3),
    }


@dataclasses.dataclass(frozen=True)
class TrackedBoxes:
    """N rows of tracks."""

    boxes: np.ndarray
    """(N, 4) px."""
    frames: np.ndarray
    """(N,)."""
    tracks: np.ndarray
    """(N,)."""
    are_between: np.ndarray
    """(N,) whether nobody was found there."""

    def seen(self) -> TrackedBoxes:
        """Those of people who were found."""
        return self.select(~self.are_between)

    def select(self, rows: np.ndarray) -> TrackedBoxes:
        """Some rows."""
        return TrackedBoxes(*(values[rows] for values in vars(self).values()))


def idf1(found: TrackedBoxes, truth: Truth) -> float:
    """IDF1; people who are hardly visible are neither right nor wrong to be found or passed."""
    is_asked = _asked(found.seen(), truth)
    overlap = np.concatenate([
        _overlaps(box[None], truth.boxes[frame])
        for box, frame in zip(found.boxes, found.frames, strict=True)
    ])  # fmt: skip
    shows, asked = overlap >= _MIN_OVERLAP, is_asked[found.frames]
    is_counted = ~(found.are_between & shows.any(1) & ~(shows & asked).any(1))
    together = np.zeros((truth.boxes.shape[1], found.tracks.max() + 1))
    for track, people in zip(found.tracks[is_counted], (shows & asked)[is_counted], strict=True):
        together[:, track] += people
    num_right = together[linear_sum_assignment(-together)].sum()
    return float(2 * num_right / (is_asked.sum() + is_counted.sum()))


def _asked(seen: TrackedBoxes, truth: Truth) -> np.ndarray:
    """(T, K) whom tracks should know: who is visible, or was found though hardly so."""
    num_frames = seen.frames.max() + 1
    is_asked = truth.visible[:num_frames] >= _MIN_VISIBLE
    for row, person in _best_overlaps(seen, truth):
        is_asked[seen.frames[row], person] = True
    return is_asked


def _best_overlaps(seen: TrackedBoxes, truth: Truth) -> list[tuple[int, int]]:
    """Rows that show somebody, and whom: each frame for itself, the most overlap in all."""
    pairs = []
    for frame in np.unique(seen.frames):
        here = np.flatnonzero(seen.frames == frame)
        overlap = _overlaps(seen.boxes[here], truth.boxes[frame])
        worth = np.where(overlap >= _MIN_OVERLAP, overlap, 0)
        for row, person in zip(*linear_sum_assignment(-worth), strict=True):
            if worth[row, person]:
                pairs.append((int(here[row]), int(person)))
    return pairs


def _by_truth(seen: TrackedBoxes, truth: Truth) -> TrackedBoxes:
    """The same boxes by who they show, who shows nobody by itself."""
    tracks = truth.boxes.shape[1] + np.arange(len(seen.frames))
    for row, person in _best_overlaps(seen, truth):
        tracks[row] = person
    order = np.lexsort((seen.frames, tracks))
    return dataclasses.replace(seen, tracks=tracks).select(order)


def _bridged(seen: TrackedBoxes) -> TrackedBoxes:
    """With rows in gaps of at most a second, as `track` makes them."""
    missing = bridges(seen.frames, seen.frames / _FPS, seen.tracks, 1.0)
    before = missing.before
    boxes = between_values(seen.boxes[before], seen.boxes[before + 1], missing.share)
    return TrackedBoxes(
        np.concatenate([seen.boxes, boxes]),
        np.append(seen.frames, missing.frame_indices),
        np.append(seen.tracks, seen.tracks[before]),
        np.append(seen.are_between, np.ones(len(before), bool)),
    )


def tracked_boxes(rows: pa.Table) -> TrackedBoxes:
    """Rows of tracks/ of a video."""
    return TrackedBoxes(
        numbers(rows, "track_bbox"),
        rows["frame_index"].to_numpy(),
        rows["track_id"].to_numpy(),
        rows["interpolated"].to_numpy(),
    )


def motion_errors(
    video: PeopleGroup, truth: Truth, rows: np.ndarray, who: np.ndarray, *, smoothed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """MPJPE-PA of each row, m, and error of the acceleration over three frames, m/s^2."""
    arrays = video.arrays()
    names = ("smoothed_pose", "smoothed_betas", "smoothed_global_rotmat") if smoothed else (
        "pose_mode", "shape_mean", "global_rotmat"
    )  # fmt: skip
    pose, betas, pelvis = (torch.from_numpy(arrays[name][rows]) for name in names)
    body = load_body("open")
    _, joints = joint_transforms(body.rest_joints(betas), pose[:, None], pelvis)
    found = half_turn_x(joints[:, 0] - joints[:, 0, :1])
    frames = arrays["frame_index"][rows].astype(int)
    true = torch.from_numpy(truth.joints[frames, who])
    pa = point_errors(found, true, ["similarity"]).mean((-2, -1)).numpy()
    accelerations = []
    for person in np.unique(who):
        order = np.flatnonzero(who == person)
        follows = np.diff(frames[order]) == 1
        middle = np.flatnonzero(follows[1:] & follows[:-1]) + 1
        bends = [points[order[middle - 1]] - 2 * points[order[middle]] + points[order[middle + 1]]
                 for points in (found, true)]  # fmt: skip
        accelerations.append((bends[0] - bends[1]).norm(dim=-1).mean(-1) * _FPS**2)
    return pa, torch.cat(accelerations).numpy()


def _speed(args: argparse.Namespace) -> None:
    """Everybody of a video with random noise, through a worker's part of `track`."""
    generator = np.random.default_rng(0)
    count, frames = args.frames * args.people, np.repeat(np.arange(args.frames), args.people)
    person = np.tile(np.arange(args.people), args.frames)
    centre = 200.0 * person + 50 * np.sin(frames / 20 + person)
    corner = np.stack([centre, 100 + 0 * centre, centre + 80, 300 + 0 * centre], axis=1)
    keypoints = generator.normal(0, 20, (args.people, 17, 3))[person] + centre[:, None, None]
    keypoints[..., 2] = 0.8
    quats = generator.normal(0, 0.1, (count, 24, 4)) + [1, 0, 0, 0]
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    columns = {
        "item_id": [f"{frame:040d}" for frame in frames], "frame_index": frames,
        "time_s": frames / _FPS, "person_index": person, "bbox": corner, "keypoints": keypoints,
        "colours": generator.normal(0, 30, (args.people, 15))[person],
        "crop": np.tile([200.0, 200, 240], (count, 1)), "quats": quats,
        "precisions": np.full((count, 24), 40.0), "shape_mean": np.zeros((count, 10)),
        "shape_std": np.ones((count, 10)), "camera": np.tile([0.9, 0, 0], (count, 1)),
    }  # fmt: skip
    people = table_of(columns, VIDEO_PEOPLE)
    torch.set_num_threads(1)
    taken = seconds(lambda: track_rows("video.mp4", people, 1.0, 1.0, "run"), 3)
    print(f"{args.people} people in {args.frames} frames: {count / taken:,.0f} person-frames/s")


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1] - shared)


if __name__ == "__main__":
    main()
