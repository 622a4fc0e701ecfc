"""Where the bundled files lie: weights, body model, demo pictures."""

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
