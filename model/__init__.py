"""The mathematics of the method in pure torch and numpy: distributions, network, body, pictures."""
