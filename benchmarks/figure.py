"""The result figure of a person (`--visualise figure`), encoded, on one thread.

    python -m benchmarks.figure

The original renders six pictures of a body for it, each 512 x 512; beside ours stand six such
pictures by our own rasterizer, which is far faster than the one that the original uses (see
`benchmarks.render`).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from benchmarks.timing import seconds
from PIL import Image

from hierprob3d.configs.prediction import PredictConfig, RunConfig, SourceConfig
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.picture.drawing import draw_bodies
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.models import load_models
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.annotator import run_stages
from hierprob3d.transforms.prediction.drawn_pictures import draw_frame

SIZE = 512


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    path = str(ASSETS / "demo" / "astronaut.png")
    run = RunConfig(output="o", visualise=frozenset({"figure"}))
    config = PredictConfig(source=SourceConfig(inputs=(path,)), run=run)
    models = load_models(config.models)
    frame = Frame(picture_item(path), np.asarray(Image.open(path).convert("RGB")))
    batch = Batch([frame])
    run_stages(batch, models, config)
    mode, white = batch.people.columns["body_vertices"], np.full((SIZE, SIZE, 3), 255, np.uint8)
    camera, whole = torch.tensor([[1.0, 0.0, 0.3]]), torch.tensor([[SIZE / 2, SIZE / 2, SIZE]])

    def six_pictures() -> None:
        for _ in range(6):
            draw_bodies(white, mode, models.body.faces, camera, whole)

    with torch.inference_mode():
        ours = seconds(lambda: draw_frame(frame, batch.people, models, run), repeats=7)
        theirs = seconds(six_pictures, repeats=3)
    print(f"figure                  {1e3 * ours:8.1f} ms   (goal: 150)")
    print(f"six 512 x 512 pictures  {1e3 * theirs:8.1f} ms   ratio {theirs / ours:.1f}x")


if __name__ == "__main__":
    main()
