"""How well the boxes that a recipe gives agree with those of real defects that it was not learned from."""

from __future__ import annotations

from datamodules.synthesis.fitting import Pictures, sample_of
from datamodules.synthesis.reading import Example, Examples, choose, spread
from datamodules.synthesis.recipe import Recipe
from generative.rendering.defects.boxes import overlap


def check_boxes(recipe: Recipe, examples: Examples, *, most: int) -> dict[str, list[tuple[float, float]]]:
    """By class the IoU with the given box of the recipe's box and of the tight one, for each of up to ``most`` defects.

    Defects of pictures that the recipe was learned from are left out. ValueError where no other is there.
    """
    learned = choose(examples, num_real=recipe.num_real, seed=recipe.seed, fewer=True)
    seen = {example.image for rows in learned.values() for example in rows}
    found: dict[str, list[tuple[float, float]]] = {}
    each = max(1, most // max(1, len(examples.classes)))
    for name in examples.classes:
        held_out = [example for example in spread(examples, name, recipe.seed) if example.image not in seen][:each]
        pairs = [pair for example in held_out if (pair := overlaps(recipe, example)) is not None]
        if pairs:
            found[name] = pairs
    if not found:
        raise ValueError(f"{examples.path} has no defects on pictures that the recipe was not learned from: fit fewer")
    return found


def overlaps(recipe: Recipe, example: Example) -> tuple[float, float] | None:
    """The IoU of the recipe's box and of the tight box with the given one; None where the box shows nothing."""
    sample = sample_of(example, Pictures(), recipe.levels)
    if sample is None:
        return None
    box = recipe.boxes.box(sample.mask, offset=sample.offset, shape=sample.shape)
    return overlap(box, example.box), overlap(sample.tight, example.box)
