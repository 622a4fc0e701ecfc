"""From names of inputs to decoded frames."""
