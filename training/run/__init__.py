"""What a training run leaves on disk, and when it ends."""
