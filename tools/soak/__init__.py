"""Long trials of what `docs/dependable.md` promises: kills, damaged files, poison, bad stores."""
