"""The stages of prediction and their DoFns."""
