"""Philox against its published answers; streams independent of batch, order and size."""

from __future__ import annotations

import pytest
import torch

from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys, philox4x32

ITEMS = ["a", "a", "b", "c"]
PEOPLE = [0, 1, 0, 0]


def streams(rows: list[int], seed: int = 0) -> RandomStreams:
    return RandomStreams(person_keys(seed, [ITEMS[i] for i in rows], [PEOPLE[i] for i in rows]))


# Known answers of Random123 1.14 (kat_vectors): counter, key, result of philox4x32-10.
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    words = philox4x32([torch.tensor(x) for x in counter], [torch.tensor(x) for x in key])
    assert tuple(int(word) for word in words) == expected


def test_keys_depend_on_seed_item_and_person_and_nothing_else() -> None:
    keys = person_keys(0, ITEMS, PEOPLE)
    assert len(set(keys.tolist())) == 4 and keys.dtype == torch.int64
    assert not (keys == person_keys(1, ITEMS, PEOPLE)).any()
    # Pinned: rerunning an old prediction must give the old samples.
    assert person_keys(0, ["a"], [0]).tolist() == [-8345460895157364358]


def test_keys_do_not_run_together() -> None:
    assert person_keys(0, ["1/x"], [0]) != person_keys(0, ["x"], [1])
    assert person_keys(1, ["x"], [11]) != person_keys(11, ["x"], [1])


def test_a_persons_numbers_do_not_depend_on_the_others() -> None:
    together = streams([0, 1, 2, 3])
    alone = streams([2])
    for draw in (RandomStreams.uniform, RandomStreams.normal):
        torch.testing.assert_close(
            draw(together, (5, 3), "pose")[2:3], draw(alone, (5, 3), "pose"), rtol=0, atol=0
        )


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_shapes_and_prefixes(name: str) -> None:
    draw = getattr(streams([0, 1]), name)
    assert draw((), "x").shape == (2,)
    assert draw((0, 3), "x").shape == (2, 0, 3)
    assert draw((7, 3), "x").shape == (2, 7, 3)
    assert draw((3,), "x", torch.float64).dtype == torch.float64
    assert getattr(streams([]), name)((7, 3), "x").shape == (0, 7, 3)
    torch.testing.assert_close(draw((50,), "x")[:, :21], draw((7, 3), "x").flatten(1))


def test_streams_and_people_differ() -> None:
    both = streams([0, 1])
    first, second = both.uniform((1000,), "pose"), both.uniform((1000,), "shape")
    numbers = torch.cat([first, second])
    correlation = torch.corrcoef(numbers) - torch.eye(4)
    # Standard error of a correlation of 1000 pairs is 0.03.
    assert correlation.abs().max() < 0.15


def test_uniform_law() -> None:
    numbers = streams([0, 1, 2, 3]).uniform((100_000,), 7, torch.float64).flatten()
    assert 0 < numbers.min() and numbers.max() < 1
    counts = torch.histc(numbers.float(), bins=100, min=0, max=1)
    chi_square = ((counts - 4000) ** 2 / 4000).sum()
    # 99 degrees of freedom: mean 99, standard deviation 14; 170 is five deviations away.
    assert 50 < chi_square < 170


def test_normal_law() -> None:
    numbers = streams([0, 1, 2, 3]).normal((100_001,), "law", torch.float64)
    # Standard errors for 400,004 numbers: 0.0016, 0.0022 and 0.0155.
    assert abs(numbers.mean()) < 0.008
    assert abs(numbers.var() - 1) < 0.011
    assert abs((numbers**4).mean() - 3) < 0.08
    neighbours = torch.corrcoef(torch.stack([numbers[:, :-1].flatten(), numbers[:, 1:].flatten()]))
    assert abs(neighbours[0, 1]) < 0.008
