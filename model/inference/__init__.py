"""Networks run by the fastest library there is; they are written once, in torch."""
