"""How good weights are: figures on held-back people."""
