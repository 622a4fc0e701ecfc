from __future__ import annotations

import dataclasses

import torch

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.training.look.lighting import Lights, lit, random_lights
from hierprob3d.training.random.draws import Draws, seeded_generator

ONE = torch.ones(1)
PERSON = torch.zeros(1, dtype=torch.long)
WHITE = torch.ones(1, 3)
TOWARDS_US = torch.tensor([[0.0, 0.0, -1.0]])


def shade(lights: Lights, normal: tuple[float, float, float]) -> float:
    point, eye = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -3.0]])
    colours = lit(lights, PERSON, 0.5 * WHITE, torch.tensor([normal]).float(), point, eye)
    return float(colours[0, 0])


def test_brightness_follows_the_cosine_to_the_light() -> None:
    lights = Lights(TOWARDS_US, True, 0.2 * ONE, 0.8 * ONE, None)
    assert abs(shade(lights, (0, 0, -2)) - 0.5 * (0.2 + 0.8)) < 1e-6
    assert abs(shade(lights, (0, 3**0.5, -1)) - 0.5 * (0.2 + 0.8 * 0.5)) < 1e-6
    assert abs(shade(lights, (0, 0, 1)) - 0.5 * 0.2) < 1e-6  # away from the light: ambient only


def test_a_near_light_shines_from_where_it_stands() -> None:
    place = torch.tensor([[0.0, -2.0, 0.0]])  # above: y points down
    lights = Lights(place, False, 0 * ONE, ONE, None)
    assert abs(shade(lights, (0, -1, 0)) - 0.5) < 1e-6 and shade(lights, (0, 1, 0)) == 0


def test_highlights_appear_in_the_mirror_direction() -> None:
    lights = Lights(torch.tensor([[0.0, -1.0, -1.0]]), True, 0 * ONE, 0 * ONE, 0.4 * ONE)
    halfway = (0.0, -0.38268, -0.92388)  # halfway between light and eye, 22.5 degrees from each
    assert abs(shade(lights, halfway) - 0.4) < 1e-4
    assert shade(lights, (0, 0, -1)) < 1e-6


def test_lights_are_drawn_from_their_ranges() -> None:
    draws = Draws(seeded_generator("cpu", 0))
    config = SynthesisConfig(light_distance=(0.5, 3.0), specular=(0.1, 0.5), ambient=(0.4, 0.8))
    lights = random_lights(draws, 500, config)
    distance = lights.place.norm(dim=-1)
    assert 0.5 <= distance.min() < 0.6 and 2.9 < distance.max() <= 3.0
    assert lights.place.mean(0).abs().max() < 0.3  # from everywhere
    assert lights.specular is not None and 0.1 <= lights.specular.min()
    assert 0.4 <= lights.ambient.min() and lights.ambient.max() <= 0.8
    plain = random_lights(draws, 500, dataclasses.replace(config, light_distance=None))
    assert plain.is_distant and plain.place[:, 1].mean() < -0.4  # mostly from above
    assert random_lights(draws, 2, SynthesisConfig()).specular is None
