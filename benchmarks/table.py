"""All figures in one table: ours, the original's way (a port of its loops), ratio, share of a run.

    python -m benchmarks.table [--repeats 5] [--page docs/speed.md] [--quick]

Both sides of a row take turns in this process, on one thread, and their shortest CPU times count.
The share is that of the stage in the default prediction of the bundled demo, which runs last. Below
it stand whole commands (`benchmarks.whole_runs`). With --page both are also put into that page,
between its two marks. It takes seven minutes on a quiet machine of two cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks import metrics, network, sampler
from benchmarks.body import plain_arrays, plainly_posed
from benchmarks.canny import plain_proxy
from benchmarks.pipeline import DEMO, both_ways
from benchmarks.timing import in_turns

from hierprob3d.configs.prediction import ModelsConfig, PredictConfig, RunConfig, SourceConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.body.skeleton import NUM_LANDMARKS
from hierprob3d.model.estimate.metrics import BodyPoints
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.network.network_config import NetworkConfig
from hierprob3d.model.network.pose_head import PoseHead
from hierprob3d.model.picture.painted_surface import paint_surface
from hierprob3d.model.picture.proxy import make_proxy
from hierprob3d.model.picture.rasterizer import rasterizing_by
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.pipelines.predict import predict
from hierprob3d.transforms.batch.models import load_models

MARKS = ("<!-- python -m benchmarks.table --page: from here -->", "<!-- to here -->")
PEOPLE, SAMPLES, FRAMES = 16, 50, 16
Way = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A figure, measured in two ways."""

    name: str
    ours: Way
    other: Way | None = None
    per: int = 1
    """What both times are divided by."""

    stage: str = ""
    """Of a prediction, that the figure is a part of."""


def rows() -> Iterator[Row]:
    """All that is measured."""
    yield from networks()
    yield lift()
    yield head()
    yield draws()
    yield skinning()
    yield edges()
    for layout, size in ((NetworkConfig(), 256), (NetworkConfig(input_stride=4), 64)):
        ways = both_ways(layout, PEOPLE, SAMPLES)
        name = f"a person from crop to spread, ResNet-18 at {size} px"
        yield Row(name, ways["all, by stages"], ways["all, one by one"], PEOPLE)
    yield errors()
    yield drawing()


def networks() -> Iterator[Row]:
    """Detector and keypoint model by the engine that runs them, and by torch."""
    fast, plain = (load_models(ModelsConfig(engine=engine)) for engine in ("auto", "torch"))
    assert fast.detector is not None and plain.detector is not None
    found = ((fast.detector.network, plain.detector.network, 384, "detect"),
             (fast.keypoints.network, plain.keypoints.network, 256, "keypoints"))  # fmt: skip
    for ours, torchs, side, stage in found:
        name = type(torchs).__name__
        picture = torch.randint(0, 256, (1, 3, 256, side), dtype=torch.uint8)
        if name != "MoveNet":
            picture = picture / 255
        engine = fast.engines["detector" if stage == "detect" else stage].split(" ")[0]
        yield Row(f"{name} ({stage}), 256 × {side}, by {engine}; by torch",
                  lambda ours=ours, picture=picture: ours(picture),  # type: ignore[misc]
                  lambda torchs=torchs, picture=picture: torchs(picture),  # type: ignore[misc]
                  stage=stage)  # fmt: skip


def lift() -> Row:
    """The bundled weights' network, which reads coordinates."""
    net = load_models(ModelsConfig()).net
    assert isinstance(net, LiftNet)
    points = 256 * torch.rand(PEOPLE, 17, 3), 256 * torch.rand(PEOPLE, NUM_LANDMARKS, 5)
    given = LiftInput(points[0], points[1])

    def one_by_one() -> None:
        for person in range(PEOPLE):
            net(LiftInput(*(values[person : person + 1] for values in points)))

    name = f"from coordinates to distributions, a person of {PEOPLE}"
    return Row(name, lambda: net(given), one_by_one, PEOPLE, "distribution")


def head() -> Row:
    torch.manual_seed(0)
    ours, port = (
        PoseHead(network.EMBED_DIM, "invariant").eval(),
        PoseHead(network.EMBED_DIM, "paper").eval(),
    )
    ours.freeze()
    embed = torch.randn(PEOPLE, network.EMBED_DIM)

    def one_by_one() -> None:
        for person in embed:
            network.joint_by_joint(port, person[None])

    return Row(f"head of 23 joints, {PEOPLE} people", lambda: ours(embed), one_by_one)


def draws() -> Row:
    distributions = MatrixFisher(sampler.network_like_parameters(PEOPLE, 23))
    streams = RandomStreams(person_keys(0, ["picture"] * PEOPLE, range(PEOPLE)))
    return Row(
        f"{SAMPLES} keyed draws × 23 joints × {PEOPLE} people",
        lambda: distributions.sample((SAMPLES,), streams),
        lambda: sampler.looped_sample(*distributions.svd, SAMPLES),
        stage="sample",
    )


def skinning() -> Row:
    body, betas = load_body("open"), torch.randn(1, 10)
    rotmats = rotvec_to_rotmat(0.4 * torch.randn(1, SAMPLES, 24, 3))
    arrays, repeated = plain_arrays(body), betas.expand(SAMPLES, -1)
    return Row(
        f"meshes of {SAMPLES} samples of a person",
        lambda: body.pose(body.shape(betas), rotmats[:, :, 1:], rotmats[:, 0, 0]),
        lambda: plainly_posed(arrays, repeated, rotmats[0]),
    )


def edges() -> Row:
    rgb, joints2d = torch.rand(PEOPLE, 3, 256, 256), 256 * torch.rand(PEOPLE, 17, 2)
    visible = torch.ones(PEOPLE, 17, dtype=torch.bool)
    return Row(
        "edges and heatmaps of a person",
        lambda: make_proxy(rgb, joints2d, visible),
        lambda: plain_proxy(rgb, joints2d, visible),
        PEOPLE,
    )


def errors() -> Row:
    sizes = {"vertices": 6890, "reposed": 6890, "joints": 14}
    target = {name: torch.randn(FRAMES, number, 3) for name, number in sizes.items()}
    prediction = {
        name: values[:, None] + 0.05 * torch.randn(FRAMES, 11, *values.shape[1:])
        for name, values in target.items()
    }
    ours = BodyPoints(**prediction), BodyPoints(**target)
    port = tuple({k: v.numpy() for k, v in part.items()} for part in (prediction, target))
    return Row(
        "14 metrics × 10 samples of a frame",
        lambda: metrics.batched(*ours),
        lambda: metrics.loop_over_frames(*port),
        FRAMES,
    )


def drawing() -> Row:
    """A body in colours, by OpenCV and by our rasterizer."""
    body, size = load_body("open"), 512
    screen = body.v_template * torch.tensor([200.0, -200.0, -1.0])
    screen = screen + torch.tensor([size / 2, size / 2 - 40, 0.0])
    colours = torch.rand(body.num_vertices, 3)

    def painted(by: str) -> object:
        with rasterizing_by(by):
            return paint_surface(screen, body.faces, colours, size, size)

    name = f"a body painted at {size} × {size}, by opencv; by torch"
    return Row(name, lambda: painted("opencv"), lambda: painted("torch"), stage="draw")


def stage_shares() -> tuple[dict[str, float], float]:
    """Share of each stage in the demo's prediction, and its people a second of all stages."""
    with tempfile.TemporaryDirectory() as folder:
        source = SourceConfig(inputs=(str(DEMO),), frame_step=10)
        models = ModelsConfig(device="cpu")
        predict(PredictConfig(source=source, models=models, run=RunConfig(output=folder)))
        (path,) = Path(folder, "runs").glob("*.json")
        record = json.loads(path.read_text())
    total = sum(record["stage_seconds"].values())
    shares = {stage: taken / total for stage, taken in record["stage_seconds"].items()}
    return shares, record["counts"]["people"] / total


def table_of(measured: list[tuple[Row, float, float | None]], shares: dict[str, float]) -> str:
    """The table in Markdown."""
    lines = ["| figure | ours | original's way | ratio | share of a run |", "|---|---|---|---|---|"]
    for row, ours, other in measured:
        times = [f"{1e3 * ours / row.per:.1f} ms"]
        times += ["–", "–"] if other is None else [f"{1e3 * other / row.per:.1f} ms",
                                                   f"{other / ours:.1f}"]  # fmt: skip
        share = shares.get(row.stage)
        text = "–" if share is None else f"{row.stage} {share:.0%}"
        lines.append(f"| {row.name} | {' | '.join(times)} | {text} |")
    return "\n".join(lines)


def whole_commands(quick: bool) -> str:
    """Their table, by a process of its own: what is large here would count as theirs."""
    command = [sys.executable, "-m", "benchmarks.whole_runs", *(["--quick"] if quick else [])]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def put_into_page(page: Path, text: str) -> None:
    """Exchanges what stands between the marks of a page."""
    before, _, rest = page.read_text().partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    if not mark:
        raise SystemExit(f"{page} has no marks {MARKS}")
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="whole commands on fewer pictures")
    parser.add_argument("--page", type=Path, help="page that the table is put into")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measured = []
    with torch.inference_mode():
        for row in rows():
            ways = {"ours": row.ours} | ({} if row.other is None else {"other": row.other})
            took = in_turns(ways, args.repeats)
            measured.append((row, took["ours"], took.get("other")))
    shares, people_per_s = stage_shares()
    text = (
        f"{table_of(measured, shares)}\n\nThe demo's prediction: {people_per_s:.1f} people a "
        f"second of all stages ({', '.join(f'{k} {v:.0%}' for k, v in shares.items())}). "
        f"{platform.machine()}, one thread, torch {torch.__version__}.\n\n"
        f"{whole_commands(args.quick)}"
    )
    print(text)
    if args.page:
        put_into_page(args.page, text)


if __name__ == "__main__":
    main()
