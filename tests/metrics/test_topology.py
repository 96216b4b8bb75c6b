"""Pieces and holes against drawn shapes, an independent Euler number, and distances against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.topology import distance_and_floor, pieces_and_holes, shapes, total_variation


def drawn(*rows: str) -> Tensor:
    return torch.tensor([[character == "#" for character in row] for row in rows])[None]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (drawn("...", "...", "..."), [0, 0]),
        (drawn("###", "###", "###"), [1, 0]),
        (drawn("###", "#.#", "###"), [1, 1]),
        (drawn(".#.", "#.#", ".#."), [1, 1]),  # touches at corners: one piece, and nothing leaks out
        (drawn("##.", "#.#", "###"), [1, 1]),
        (drawn("#.#", "#.#", "###"), [1, 0]),  # open above
        (drawn("#####", "#.#.#", "#####"), [1, 2]),
        (drawn("#.#", "...", "#.#"), [4, 0]),
        (drawn("#####", "#...#", "#.#.#", "#...#", "#####"), [2, 1]),
    ],
)
def test_known_shapes(shape: Tensor, expected: list[int]) -> None:
    assert pieces_and_holes(shape)[0].tolist() == expected


def test_euler_number_of_random_shapes() -> None:
    """Pieces minus holes = corners counted locally (Gray 1971), for eight neighbours of the shape."""
    random = torch.rand(50, 9, 11, generator=torch.Generator().manual_seed(0)) > 0.5
    counts = pieces_and_holes(random)
    padded = np.pad(random.numpy(), ((0, 0), (1, 1), (1, 1))).astype(int)
    quads = np.stack([padded[:, a : a + 10, b : b + 12] for a in (0, 1) for b in (0, 1)])
    ones = quads.sum(axis=0)
    diagonal = (ones == 2) & (quads[0] == quads[3])
    euler = ((ones == 1).sum(axis=(1, 2)) - (ones == 3).sum(axis=(1, 2)) - 2 * diagonal.sum(axis=(1, 2))) // 4
    assert (counts[:, 0] - counts[:, 1]).tolist() == euler.tolist()


def test_shapes_between_pixels() -> None:
    image = torch.full((1, 1, 4, 4), -1.0)
    image[0, 0, 1, 1] = image[0, 0, 2, 2] = 1.0
    assert shapes(image, threshold=0.0, enlarge=1).sum() == 2
    assert shapes(image, threshold=0.0, enlarge=4).shape == (1, 16, 16)
    assert pieces_and_holes(shapes(image, threshold=0.0, enlarge=4)).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="3 channels"):
        shapes(torch.zeros(1, 3, 4, 4), threshold=0.0, enlarge=1)


def test_total_variation() -> None:
    a, b = torch.tensor([[1, 0]] * 3 + [[1, 1]]), torch.tensor([[1, 1], [2, 0]])
    assert total_variation(a, a) == 0
    assert total_variation(a, b) == pytest.approx(0.5 * (0.75 + 0.25 + 0.5))
    assert total_variation(a, b) == total_variation(b, a)
    assert total_variation(a[:3], b) == 1


def test_distance_beside_what_chance_gives() -> None:
    random = torch.Generator().manual_seed(0)
    real = torch.stack([torch.ones(400).long(), torch.randint(3, (400,), generator=random)], dim=1)
    alike = torch.stack([torch.ones(200).long(), torch.randint(3, (200,), generator=random)], dim=1)
    distance, floor = distance_and_floor(alike, real, splits=50, seed=0)
    assert 0 < floor < 0.1
    assert distance == pytest.approx(floor, abs=0.06)
    assert distance_and_floor(torch.tensor([[5, 5]] * 200), real, splits=5, seed=0)[0] == 1
    assert distance_and_floor(alike, real, splits=5, seed=1) == distance_and_floor(alike, real, splits=5, seed=1)
    with pytest.raises(ValueError, match="two real and one generated"):
        distance_and_floor(alike, real[:1], splits=5, seed=0)
