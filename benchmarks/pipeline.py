"""Speed of the stages from crop to spread, and of the default prediction, side by side in one run.

    python -m benchmarks.pipeline [--people 16] [--samples 50] [--repeats 3] [--weights PATH]

First, one thread: crop, proxy, network, samples and per-vertex spread of a batch of people by the
pipeline's own stage functions, against the way of the paper's published code: person after person,
the whole picture as floats, a mask per edge direction, joint after joint, every sample skinned as
if it were a new person (ports of its loops from the other benchmarks). Both with ResNet-18 of
random weights, at the paper's 256 px and laid out as our open weights, and with the mean shape for
all samples, as that code does. Then `hierprob3d predict` on the bundled demo with one process:
people per second and the share of each stage.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from benchmarks.body import plain_arrays, plainly_posed
from benchmarks.canny import plain_proxy
from benchmarks.sampler import looped_sample
from benchmarks.timing import in_turns
from PIL import Image
from torch import Tensor

from hierprob3d.configs.paper_inference import ProxySettings
from hierprob3d.configs.prediction import (
    ModelsConfig,
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE, ANCESTORS, NUM_BODY_JOINTS
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig
from hierprob3d.model.network.pose_head import PoseHead
from hierprob3d.model.picture.crops import CropFrames, crop_torch
from hierprob3d.model.picture.proxy import PERSON_CROP_SIZE, PROXY_SIZE, visible_mask
from hierprob3d.pipelines.predict import predict
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction.distributions import predict_distributions
from hierprob3d.transforms.prediction.proxies import PROXY, make_proxies
from hierprob3d.transforms.prediction.sampled_bodies import sample_bodies

DEMO = Path(__file__).parents[1] / "model" / "assets" / "demo"
THRESHOLD = 0.3
_AS_WRITTEN = argparse.RawDescriptionHelpFormatter


def made_up_people(num_people: int, image: np.ndarray) -> People:
    """People of random boxes and keypoints all over one picture."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([image.shape[1], image.shape[0]])
    low = size * 0.5 * torch.rand(num_people, 2, generator=generator)
    high = low + size * (0.2 + 0.3 * torch.rand(num_people, 2, generator=generator))
    places = torch.rand(num_people, 17, 2, generator=generator)
    points = low[:, None] + (high - low)[:, None] * places
    confidence = torch.rand(num_people, 17, 1, generator=generator)
    columns = {
        "frame": torch.zeros(num_people, dtype=torch.long),
        "bbox": torch.cat([low, high], dim=1),
        "keypoints": torch.cat([points, confidence], dim=2),
    }
    return People([picture_item("/benchmark")] * num_people, list(range(num_people)), columns)


def by_stages(people: People, image: np.ndarray, models: Models, config: SamplingConfig) -> Tensor:
    """Spread (P, V) by the pipeline's stage functions."""
    known = People(people.items, people.person_indices, dict(people.columns))
    known.columns |= make_proxies(known, [image], models)
    known.columns |= predict_distributions(known, models.net, batch_size=16)
    known.columns.pop(PROXY)
    return sample_bodies(known, models, config)["vertex_spread_m"]


def one_by_one(
    people: People, image: np.ndarray, net: DistributionNet, arrays: Any, num_samples: int
) -> Tensor:
    """Spread (P, V) person after person."""
    spreads = []
    for box, keypoints in zip(people.columns["bbox"], people.columns["keypoints"], strict=True):
        picture = torch.from_numpy(image.transpose(2, 0, 1)).float()[None] / 255.0
        frame = CropFrames.around(box[None], PERSON_CROP_SIZE)
        cut = crop_torch(picture, frame)
        width, height = PERSON_CROP_SIZE
        centre, side = torch.tensor([[width / 2, height / 2]]), torch.full((1, 2), float(height))
        square = CropFrames(centre, side, (PROXY_SIZE, PROXY_SIZE))
        joints = square.points_to_crop(frame.points_to_crop(keypoints[None, :, :2]))
        visible = visible_mask(keypoints[None, :, 2], THRESHOLD)
        features = net.encode(plain_proxy(crop_torch(cut, square), joints, visible))
        spreads.append(_plain_spread(net, features, arrays, num_samples))
    return torch.cat(spreads)


def _plain_spread(net: DistributionNet, features: Tensor, arrays: Any, num_samples: int) -> Tensor:
    hidden = net.activation(net.fc1(features))
    shape, rot6d, camera = net.fc_shape(hidden), net.fc_glob(hidden), net.fc_cam(hidden)
    embed = net.activation(net.fc_embed(torch.cat([features, shape, rot6d, camera], dim=1)))
    U, S, V = joint_by_joint(net.fc_pose, embed)
    rotmats = looped_sample(U, S, V, num_samples)[0]
    rotmats = torch.cat([torch.eye(3).expand(num_samples, 1, 3, 3), rotmats], dim=1)
    betas = shape[:, :10].expand(num_samples, -1)
    return sample_spread(plainly_posed(arrays, betas, rotmats)[None])


def joint_by_joint(head: PoseHead, embed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, V (1, 23, ...) of one person, one joint after the other."""
    U, V, mode = (torch.zeros(1, NUM_BODY_JOINTS, 3, 3) for _ in range(3))
    S = torch.zeros(1, NUM_BODY_JOINTS, 3)
    for joint in range(NUM_BODY_JOINTS):
        ancestors = list(ANCESTORS[joint])
        known = (U[:, ancestors], S[:, ancestors], mode[:, ancestors]) if ancestors else ()
        inputs = torch.cat([embed, *(part.reshape(1, -1) for part in known)], dim=1)
        F = head[joint](inputs).view(-1, 3, 3) + torch.eye(3)
        joint_U, joint_S, joint_V = torch.svd(F)
        sign_U, sign_V = torch.det(joint_U), torch.det(joint_V)
        joint_U[:, :, 2] *= sign_U[:, None]
        joint_S[:, 2] *= sign_U * sign_V
        joint_V[:, :, 2] *= sign_V[:, None]
        U[:, joint], S[:, joint], V[:, joint] = joint_U, joint_S, joint_V
        mode[:, joint] = joint_U @ joint_V.mT
    return U, S, V


def both_ways(
    layout: NetworkConfig, num_people: int, num_samples: int
) -> dict[str, Callable[[], object]]:
    """What takes people from crop to spread in either way, and the encoders in it alone."""
    image = np.array(Image.open(DEMO / "astronaut.png").convert("RGB"))
    torch.manual_seed(0)
    plain_net = DistributionNet(layout).eval()
    models = models_around(copy.deepcopy(plain_net))
    wanted = frozenset({"vertex_spread"})
    config = SamplingConfig(num_samples=num_samples, paper_rule=True, save=wanted)
    people, arrays = made_up_people(num_people, image), plain_arrays(models.body)
    proxy = torch.rand(num_people, 18, PROXY_SIZE, PROXY_SIZE)
    last = proxy.contiguous(memory_format=torch.channels_last)
    return {
        "all, one by one": lambda: one_by_one(people, image, plain_net, arrays, num_samples),
        "all, by stages": lambda: by_stages(people, image, models, config),
        "encoder, one by one": lambda: [plain_net.encode(one[None]) for one in proxy],
        "encoder, one batch": lambda: models.net.encode(last),
    }


def compare_stages(layout: NetworkConfig, num_people: int, num_samples: int, repeats: int) -> None:
    """Prints both ways' time per person, that of the encoder in them, and the ratios."""
    with torch.inference_mode():
        took = in_turns(both_ways(layout, num_people, num_samples), repeats)
    side = PROXY_SIZE // layout.input_stride
    print(f"crop to spread, {num_people} people, {num_samples} samples, network at {side} px:")
    for name, value in took.items():
        print(f"  {name:20} {1e3 * value / num_people:7.1f} ms a person")
    loop, ours = took["all, one by one"], took["all, by stages"]
    loop_rest, our_rest = loop - took["encoder, one by one"], ours - took["encoder, one batch"]
    print(f"  {loop / ours:.1f} x faster, without the encoder {loop_rest / our_rest:.1f} x")


def models_around(net: DistributionNet) -> Models:
    """The models that stages from crop to spread use, the network laid out as in a run."""
    net.fc_pose.freeze()
    net.image_encoder.to(memory_format=torch.channels_last)
    parts = {"net": net, "body": load_body("open"), "always_visible": ALWAYS_VISIBLE}
    rules = {"threshold": THRESHOLD, "proxy": ProxySettings()}
    return cast(Models, SimpleNamespace(**parts, **rules, device=torch.device("cpu")))


def predict_demo(weights: str | None) -> None:
    """Runs the default prediction on the bundled demo in this process; it prints its summary."""
    with tempfile.TemporaryDirectory() as folder:
        config = PredictConfig(
            source=SourceConfig(inputs=(str(DEMO),), frame_step=10),
            models=ModelsConfig(weights=weights, device="cpu"),
            sampling=SamplingConfig(),
            refinement=RefinementConfig(),
            run=RunConfig(output=folder),
        )
        print("\npredict on the demo, one process:")
        predict(config, ["--direct_running_mode", "in_memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AS_WRITTEN)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", help="weights for OpenBody; default: the bundled ones")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for layout in (NetworkConfig(), NetworkConfig(input_stride=4, keypoint_lift=True)):
        compare_stages(layout, args.people, args.samples, args.repeats)
    predict_demo(args.weights)


if __name__ == "__main__":
    main()
