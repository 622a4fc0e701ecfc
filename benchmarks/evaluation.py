"""Evaluation at scale: memory over many rows with a stubbed network, and scaling over workers.

    python -m benchmarks.evaluation memory [--rows 35000]
    python -m benchmarks.evaluation [scaling] [--rows 512] [--weights PATH]

`memory` sends that many rows through evaluation, publication and totals in this process, the
network replaced by stored outputs, and prints rows a second and the peak of resident memory, also
after the first tenth: memory must not grow with rows. `scaling` runs the command with one and with
two worker processes and compares the time from the first to the last finished shard, which leaves
out starting up.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.rotation.rotations import special_procrustes
from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.evaluation.evaluation_summary import summarise_totals
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.evaluation.evaluation_shards import (
    EvaluationContext,
    evaluate_shard,
    new_rows,
)
from hierprob3d.transforms.evaluation.evaluator import Evaluator
from hierprob3d.transforms.evaluation.totals import CombineTotals, totals_of
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name


class StoredNet(torch.nn.Module):
    """A network that answers with stored outputs."""

    def __init__(self, num: int = 16) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        pose_F = 10 * torch.randn(num, 23, 3, 3, generator=generator)
        mode = special_procrustes(pose_F)
        eye = torch.eye(3).expand(num, 3, 3)
        self.stored = NetOutput(
            pose_F=pose_F, pose_U=mode, pose_S=pose_F[..., 0], pose_V=mode, pose_mode=mode,
            shape_mean=torch.randn(num, 10, generator=generator), shape_std=torch.ones(num, 10),
            global_rot6d=eye[..., :2].flatten(1), global_rotmat=eye,
            camera=torch.tensor([0.9, 0.0, 0.0]).expand(num, 3),
        )  # fmt: skip

    def forward(self, proxy: torch.Tensor) -> NetOutput:
        """The first rows of what is stored."""
        return NetOutput(**{k: v[: len(proxy)] for k, v in vars(self.stored).items()})


class MadeUpRows:
    """A dataset of any length without files."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __len__(self) -> int:
        return self.num

    def name(self, index: int) -> str:
        """File name of a row's picture."""
        return f"{index:06d}.png"

    def load(self, index: int) -> EvalItem:
        """A row whose numbers depend on its index alone."""
        rng = np.random.default_rng(index)
        every = np.ones(17, bool)
        return EvalItem(
            item_id=self.name(index), image=np.zeros((256, 256, 3), np.uint8),
            joints2d=rng.uniform(0, 256, (17, 2)), drawn=every, confident=every,
            pose=rng.normal(0, 0.3, 72).astype(np.float32),
            betas=rng.normal(0, 1, 10).astype(np.float32), gender="male" if index % 2 else "female",
        )  # fmt: skip


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def memory(num_rows: int) -> dict:
    torch.set_num_threads(1)
    bodies = {gender: load_body("open", gender) for gender in ("neutral", "male", "female")}
    with tempfile.TemporaryDirectory() as folder:
        config = EvaluateConfig(dataset="3dpw", data=folder, output=folder, device="cpu")
        evaluator = Evaluator(config, StoredNet(), bodies)  # type: ignore[arg-type]
        context = EvaluationContext(run_id="bench", config=config)
        store, combine = OutputFolder(folder), CombineTotals()
        store.create()
        totals, peaks = combine.create_accumulator(), []
        dataset = MadeUpRows(num_rows)
        shards = list(new_rows(config, dataset, ()))
        start = time.perf_counter()
        for shard in shards:
            frames, _ = evaluate_shard(evaluator.rows, dataset, shard, context)
            store.write_table(part_name("frames", "bench", shard.name), frames)
            totals = combine.add_input(totals, totals_of(frames, config.num_hypotheses))
            peaks.append(peak_gib())
        seconds = time.perf_counter() - start
        summarise_totals(totals, config)
    return {
        "rows": num_rows,
        "rows_per_s": num_rows / seconds,
        "peak_gib_after_a_tenth": peaks[len(peaks) // 10],
        "peak_gib": peaks[-1],
    }


def scaling(num_rows: int, weights: str | None) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        data = make_evaluation_set(Path(folder) / "data", num_rows)
        rates = [rate_with(workers, data, Path(folder), weights) for workers in (1, 2)]
    return {"rows_per_s": rates, "ratio": rates[1] / rates[0]}


def rate_with(workers: int, data: Path, folder: Path, weights: str | None) -> float:
    """Rows a second between the first and the last finished shard."""
    output = folder / f"out{workers}"
    words = [
        "evaluate", "--dataset", "synthetic", "--data", str(data), "--output", str(output),
        "--shard-size", "16", "--direct_running_mode", "multi_processing",
        "--direct_num_workers", str(workers), *(["--weights", weights] if weights else []),
    ]  # fmt: skip
    assert cli.main(words) == 0
    ends = sorted(path.stat().st_mtime for path in (output / "frames").iterdir())
    return 16 * (len(ends) - 1) / (ends[-1] - ends[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="scaling", choices=("memory", "scaling"))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--weights")
    options = parser.parse_args()
    if options.what == "memory":
        result = memory(options.rows or 35_000)
    else:
        result = scaling(options.rows or 512, options.weights)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
