"""What is found nearest, by a method whose images are its latents times a number, against distances made one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generative.rendering.images import read_png, to_uint8
from lightning_modules.regene.neighbours import LATENTS, PIXELS, SSIM, dissimilarities, nearest
from lightning_modules.regene.objective import ssim_term
from tests.support.banks import Shrinking, SmallData, shrinking

COUNT = 12


class Trebling(Shrinking):
    """A judge that is another classifier: its features are three times the pixels."""

    def features(self, images: Tensor) -> Tensor:
        return 3.0 * images.flatten(1)


def searched(
    tmp_path: Path, *, bank_size: int | None = None, **given: Any
) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """The lines by measure, and the table."""
    settings = {"seed": 0, "datamodule": SmallData(), "count": COUNT, "rows": 3, "num_real": 25} | given
    picture, lines, table = nearest(shrinking(bank_size=bank_size), tmp_path, **settings)  # type: ignore[arg-type]
    assert read_png(picture).ndim == 3
    found: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, lines.read_text().splitlines()):
        found.setdefault(line["measure"], []).append(line)
    return found, table.read_text()


def table_of(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared differences of rows, in float64: [N, M]."""
    return (a.flatten(1).double()[:, None] - b.flatten(1).double()).square().mean(dim=2)


def expected(against: str, network: bool = False) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By measure the distances of the generations [12, 60] and of the first 25 real images in their order [60, 60]."""
    method, data = shrinking(sampling="dirichlet_2"), SmallData()  # of a mean both sources are equally near
    training, test = (data.split(name)[0] for name in ("train", "test"))
    drawn = method.sampled(range(COUNT), torch.arange(COUNT) % 2, seed=0)
    size = 1.0 if against == "originals" else 0.5
    latents = drawn.latents if against == "originals" else drawn.images.flatten(1)

    def of(images: Tensor, latents: Tensor, scale: float) -> dict[str, Tensor]:
        scaled = 0.5 * (scale * images + 1.0)
        gallery = 0.5 * (size * training + 1.0)
        shown = [to_uint8(scale * images).double(), to_uint8(size * training).double()]
        ssim = torch.stack([ssim_term(image.expand_as(gallery), gallery, window=3) for image in scaled])
        found = {
            PIXELS: table_of(scaled, gallery),
            SSIM: ssim,
            LATENTS: table_of(latents, size * training.flatten(1)),
        }
        return found | ({"network": 9.0 * table_of(*shown) / 127.5**2} if network else {})

    return of(drawn.images, latents, 1.0), of(test, size * test.flatten(1), size)


@pytest.mark.parametrize("against", ["originals", "reconstructions"])
def test_the_nearest_are_those_of_all_distances(tmp_path: Path, against: str) -> None:
    judge = Trebling()
    found, table = searched(tmp_path, against=against, judge=[judge], num_real=60, sampler="dirichlet_2")
    of_generations, of_real = expected(against, network=True)
    network = next(name for name in found if name.startswith("classifier_"))
    assert found.keys() == {PIXELS, SSIM, LATENTS, network}
    for name, distances in of_generations.items():
        lines = found[network if name == "network" else name]
        values, numbers = distances.sort(dim=1)
        assert [line["nearest"] for line in lines] == numbers[:, :3].tolist(), name
        torch.testing.assert_close(
            torch.tensor([line["distances"] for line in lines]), values[:, :3].float(), rtol=1e-3, atol=1e-5
        )
        median = float(of_real[name].amin(dim=1).quantile(0.5))
        assert lines[0]["real_distance"] == pytest.approx(median, rel=1e-3, abs=1e-5)
        assert [line["nearer_than_real"] for line in lines] == (values[:, 0] < median).tolist()
    assert "No features" not in table


def test_a_memoriser_is_found_out(tmp_path: Path) -> None:
    """Beside reconstructions each of its images is one; beside originals its latents are those of one."""
    again, table = searched(tmp_path, sampler="training", against="reconstructions", bank_size=20)
    for lines in again.values():
        assert all(line["distances"][0] < 1e-6 and line["nearest"][0] == line["parents"][0] for line in lines)
        assert all(line["are_parents"] == [True, False, False] and line["nearer_than_real"] for line in lines)
    assert "| 1.000 | 1.000 |" in table
    assert "No features of a network" in table
    originals, _ = searched(tmp_path, sampler="training")
    assert all(line["distances"][0] == 0 for line in originals[LATENTS])
    assert all(line["distances"][0] > 1e-3 for line in originals[PIXELS]), "the decoder shrinks"


def test_other_generations_are_never_the_same_one(tmp_path: Path) -> None:
    found, _ = searched(tmp_path, among="generations")
    images = 0.5 * (shrinking().sampled(range(COUNT), torch.arange(COUNT) % 2, seed=0).images + 1.0)
    apart = table_of(images, images).fill_diagonal_(torch.inf)
    assert [line["nearest"] for line in found[PIXELS]] == apart.argsort(dim=1)[:, :5].tolist()
    assert all(line["are_parents"] is None and len(line["parents"]) == 2 for line in found[PIXELS])
    alike, table = searched(tmp_path, among="generations", sampler="class_mean")
    assert all(line["distances"][0] < 1e-12 and line["nearer_than_real"] for line in alike[PIXELS])
    assert all(line["parents"] is None for line in alike[PIXELS])
    assert "| 1.000 | - |" in table
    training = 0.5 * SmallData().split("train")[0]
    distances = table_of(training, training).fill_diagonal_(torch.inf)
    whole, _ = searched(tmp_path, among="generations", count=60)
    assert whole[PIXELS][0]["real_distance"] == pytest.approx(float(distances.amin(dim=1).quantile(0.5)), rel=1e-5)


def test_moments_made_once_give_the_same_ssim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_modules.regene.neighbours.CHUNK", 4)
    images = torch.rand(13, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.stack(list(dissimilarities(images[:3], images[3:], window=5)))
    pairs = [ssim_term(image.expand(10, -1, -1, -1), images[3:], window=5) for image in images[:3]]
    torch.testing.assert_close(found, torch.stack(pairs), rtol=1e-12, atol=1e-12)


def test_bad_settings_are_refused_in_a_sentence(tmp_path: Path) -> None:
    bad: dict[str, dict[str, Any]] = {
        "there are no 60 neighbours: top is at most 11 here": {"among": "generations", "top": 60},
        "count=61 generations are compared with as many training images: 60 at most": {
            "among": "generations",
            "count": 61,
        },
        "against=reconstructions is of training images": {"among": "generations", "against": "reconstructions"},
        "unknown among 'test'": {"among": "test"},
        "top must be at least 1, got 0": {"top": 0},
        "judge takes one checkpoint of a classifier, got 2": {"judge": [Trebling(), Trebling()]},
    }
    for message, given in bad.items():
        with pytest.raises(ValueError, match=message):
            searched(tmp_path, **given)


def test_the_own_classifier_is_no_judge(tmp_path: Path) -> None:
    method, judge = shrinking(), Trebling()
    method.averaged_network = judge.averaged_network = judge.network = nn.Linear(9, 2)
    with pytest.raises(ValueError, match="judge is the classifier whose latents are combined"):
        nearest(method, tmp_path, seed=0, datamodule=SmallData(), judge=[judge])  # type: ignore[arg-type]
    judge.averaged_network = nn.Linear(9, 2)
    nearest(method, tmp_path, seed=0, datamodule=SmallData(), judge=[judge], count=2)  # type: ignore[arg-type]
