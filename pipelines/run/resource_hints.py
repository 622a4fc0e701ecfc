"""What an engine is asked to give to each worker, in Beam's words.

For the whole job at once: steps that are asked different things are not fused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def with_hints(flags: Sequence[str], hints: Mapping[str, str]) -> tuple[str, ...]:
    """Beam options with more hints, but for those that the user gave.

    Args:
        flags: The options.
        hints: Values by Beam's names.
    """
    from apache_beam.options.pipeline_options import PipelineOptions  # takes Beam
    from apache_beam.transforms.resources import parse_resource_hints, resource_hints_from_options

    given = resource_hints_from_options(PipelineOptions(list(flags)))
    added = [
        f"--resource_hint={name}={value}"
        for name, value in hints.items()
        if not given.keys() & parse_resource_hints({name: value}).keys()
    ]
    return (*flags, *added)
