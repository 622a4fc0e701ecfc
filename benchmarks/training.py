"""Training: pictures made, steps taken and both together, beside what the machine allows at best.

    python -m benchmarks.training [--device cuda --batch 128 --repeats 10 --strides 1]

Generation is all that makes a batch: poses, bodies, pictures, edges. A step is forward, loss,
backward and optimiser of the whole network, with samples in the loss, on people that are already
there. Each is the shortest of some runs: of CPU time on one thread, or of wall time on a GPU.

Two floors stand below a step, both of the encoder alone. Arithmetic: its multiplications and
additions, counted by torch, at the rate of a large matrix product in the same number format.
Bytes: what its layers read and write at the rate of a large copy. Forward a layer reads its input
and writes its output; backward, as two products do, it reads input and gradient of the output and
writes the gradient of the input: counted as three times the forward traffic. Fusing layers would
lower it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.timing import seconds
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.configs.training_phases import PAPER_STAGE_2, OptimiserConfig, PhaseConfig
from hierprob3d.training.assessment.evaluation_set import HELDBACK_POSES
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.optimisation import DTYPES
from hierprob3d.training.learning.schedule import Schedule
from hierprob3d.training.people.people_setup import PoseChoice, configured_people
from hierprob3d.training.people.rendered_set import KeptForm, render_people
from hierprob3d.training.random.draws import seeded_generator
from hierprob3d.training.run.distributed import Ranks

CROP_SIZE = 256
PAPER_LOSS: dict[str, Any] = {
    "vertex_stride": 1, "loss_joints": "h36m", "log_normalizer": "trapezoid",
}  # fmt: skip
PASSES = 3
"""Traffic and arithmetic of a forward and a backward pass over those of the forward pass."""


@dataclass(frozen=True)
class Machine:
    """Rates of the device in the number format of the encoder."""

    operations_per_s: float
    bytes_per_s: float


def config_of(args: argparse.Namespace, stride: int) -> TrainConfig:
    data = DataConfig(train_poses=str(HELDBACK_POSES), stored_stride=stride, online=True)
    phase = PhaseConfig(epochs=1, stride=stride, loss=PAPER_STAGE_2, num_samples=args.samples)
    return TrainConfig(
        data=data, phases=(phase,), num_layers=args.layers, device=args.device,
        optimiser=OptimiserConfig(batch_size=args.batch), compile_encoder=args.compile,
        precision=args.precision, **(PAPER_LOSS if args.paper else {}),
    )  # fmt: skip


def timed(function: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Shortest time of `repeats` runs after one that warms up."""
    if device.type == "cpu":
        return seconds(function, repeats)
    times = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        function()
        torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def measured_machine(device: torch.device, dtype: torch.dtype, repeats: int) -> Machine:
    size, length = (8192, 1 << 30) if device.type == "cuda" else (1024, 1 << 26)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = timed(lambda: left @ right, device, repeats)
    source = torch.ones(length, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    copy = timed(lambda: target.copy_(source), device, repeats)
    return Machine(2 * size**3 / product, 2 * length / copy)


def encoder_work(encoder: nn.Module, proxy: Tensor) -> tuple[float, float]:
    """Operations and bytes of one person's pass through the encoder and back."""
    traffic = 0

    def count(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal traffic
        traffic += sum(x.numel() * x.element_size() for x in (*inputs, output))

    leaves = [module for module in encoder.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    with torch.no_grad(), torch.autocast(proxy.device.type, proxy.dtype):
        with FlopCounterMode(display=False) as counter:
            encoder(proxy)
    for hook in hooks:
        hook.remove()
    num_people = len(proxy)
    return PASSES * counter.get_total_flops() / num_people, PASSES * traffic / num_people


def report(args: argparse.Namespace, stride: int, machine: Machine) -> None:
    config, device = config_of(args, stride), torch.device(args.device)
    people = configured_people(config.data, PoseChoice.for_training(config.data), device)
    learner = Learner(config, people.body, device, Ranks())
    generator = seeded_generator(device, 0)
    step = next(Schedule(config, 1_000_000).steps(0))

    def made() -> Any:
        return render_people(people, generator, args.batch, KeptForm(stride))

    batch = made()
    took = {
        "generation": timed(made, device, args.repeats),
        "step": timed(lambda: learner.learn(batch, step, 1_000_000), device, args.repeats),
        "both": timed(lambda: learner.learn(made(), step, 1_000_000), device, args.repeats),
    }
    side = CROP_SIZE // stride
    proxy = torch.zeros(2, 18, side, side, device=device, dtype=DTYPES[config.precision])
    proxy = proxy.to(memory_format=torch.channels_last)
    operations, traffic = encoder_work(learner.net.image_encoder, proxy)
    floors = {
        "arithmetic": args.batch * operations / machine.operations_per_s,
        "bytes": args.batch * traffic / machine.bytes_per_s,
    }
    print(f"stride {stride}: {operations / 1e9:.1f} GFLOP and {traffic / 1e6:.0f} MB a person")
    for name, value in (took | floors).items():
        print(
            f"  {name:10} {args.batch / value:9.1f} samples/s   "
            f"{value / took['step']:5.2f} x the time of a step"
        )
    hidden = took["generation"] + took["step"]
    print(f"  both take {took['both'] / hidden:.2f} x the sum of the two")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=8, help="people per step")
    parser.add_argument("--strides", type=int, nargs="+", default=[4, 2, 1])
    parser.add_argument("--samples", type=int, default=8, help="bodies sampled in the loss")
    parser.add_argument("--layers", type=int, default=18, help="18 or 50")
    parser.add_argument("--precision", default=TrainConfig().precision, choices=DTYPES)
    parser.add_argument("--paper", action="store_true", help="the loss of the paper's run")
    parser.add_argument("--compile", action="store_true", help="compile the encoder")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    machine = measured_machine(torch.device(args.device), DTYPES[args.precision], args.repeats)
    print(
        f"{args.batch} people, ResNet-{args.layers}, {args.precision}, {args.device}: "
        f"matrix product {machine.operations_per_s / 1e12:.3f} TFLOP/s, "
        f"copy {machine.bytes_per_s / 1e9:.1f} GB/s"
    )
    for stride in args.strides:
        report(args, stride, machine)


if __name__ == "__main__":
    main()
