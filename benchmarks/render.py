"""One 512 x 512 picture of a body: our rasterizer, and shading on top of it.

    python -m benchmarks.render

The paper's code takes 20.5 s for such a picture with pytorch3d's CPU rasterizer on one thread
(measured once on another machine); pytorch3d is timed beside ours where it is installed.
"""

from __future__ import annotations

import importlib.util

import torch
from benchmarks.timing import seconds

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.picture.rasterizer import interpolate, rasterize

SIZE = 512


def main() -> None:
    torch.set_num_threads(1)
    body = load_body("open")
    screen = body.v_template * torch.tensor([200.0, -200.0, -200.0])
    screen = screen[None] + torch.tensor([SIZE / 2, SIZE / 2 - 40, 600.0])

    def draw(backend: str) -> object:
        fragments = rasterize(screen, body.faces, SIZE, SIZE, cull_back_faces=True, backend=backend)
        return interpolate(fragments, body.faces, body.v_template[None])

    ours = seconds(lambda: draw("torch"), repeats=5)
    print(f"torch      {1e3 * ours:8.1f} ms per 512 x 512 body")
    if importlib.util.find_spec("pytorch3d"):
        theirs = seconds(lambda: draw("pytorch3d"), repeats=1)
        print(f"pytorch3d  {1e3 * theirs:8.1f} ms   ratio {theirs / ours:.0f}x")


if __name__ == "__main__":
    main()
