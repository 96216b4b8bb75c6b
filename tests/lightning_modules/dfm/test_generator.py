"""The generator: what a step moves, eq. 4.8, the recipes' starts, the laws of latents, images that were not trained on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from datamodules.digits import Digits
from generative.randomness import Stream
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.dfm.hyper import FASTER_FROM, CoefficientDecoder, chi_of, pixels
from lightning_modules.dfm.latents import ImageEncoder, LatentLaws, LatentTable
from lightning_modules.dfm.module import DFM
from lightning_modules.dfm.networks import Shape, colours, pixel_positions
from lightning_modules.dfm.objective import Loss, Rate, as_images, as_rows, chosen_pixels
from lightning_modules.dfm.pictures import interpolate, reconstruct_training
from lightning_modules.dfm.row_adam import RowAdam
from lightning_modules.dfm.start import scale_at
from lightning_modules.tasks.held_out import held_out, some_numbers

DIGITS = Digits(batch_size=1, seed=0)
ENCODER = "latents@method.latents=encoder"


def made(*overrides: str) -> DFM:
    torch.manual_seed(0)
    method = build(plain(compose("train", ["experiment=none", "method=dfm", "run_dir=x", *overrides])))[1]
    assert isinstance(method, DFM)
    return method.double()


def rows_of(latents: nn.Module) -> Tensor:
    """Of a table, whose gradients stay as they are."""
    assert isinstance(latents, LatentTable)
    return latents.rows


def part(count: int = 6, first: int = 40) -> dict[str, Any]:
    index = torch.arange(count) * 7 + 3
    return {"image": DIGITS.split("train")[0][index].double(), "index": index, "first_number": first}


def step(method: DFM, batch: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    method.objective(batch).backward()
    optimizer.step()


def numbers(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_all_rows_together_move_as_by_adam() -> None:
    ours, theirs = (nn.Parameter(numbers(4, 3)) for _ in range(2))
    optimizers = RowAdam([ours], lr=0.1, betas=(0.8, 0.95)), torch.optim.Adam([theirs], lr=0.1, betas=(0.8, 0.95))
    for place in range(5):
        ours.grad = numbers(4, 3, seed=place + 1)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_row_moves_when_it_is_seen_and_as_if_it_were_alone() -> None:
    table = nn.Parameter(numbers(3, 2))
    alone = [nn.Parameter(row.clone()) for row in table.detach()]
    by_row = RowAdam([{"params": [table], "by_row": True}], lr=0.1)
    of_rows = [torch.optim.Adam([row], lr=0.1, betas=(0.9, 0.99)) for row in alone]
    for place, seen in enumerate(([0], [0, 2], [2], [0])):
        table.grad = torch.zeros_like(table)
        for row in seen:
            table.grad[row] = numbers(2, seed=10 * place + row)
            alone[row].grad = table.grad[row].clone()
            of_rows[row].step()
        by_row.step()
    torch.testing.assert_close(table.detach(), torch.stack([row.detach() for row in alone]), rtol=0, atol=1e-12)
    assert torch.equal(table[1], numbers(3, 2)[1]), "a row that was never seen"


def test_a_step_moves_the_decoder_and_the_rows_of_its_batch_alone() -> None:
    """Also the second step, in which the usual Adam would go on moving the rows of the first."""
    method = made()
    optimizer = method.configure_optimizers()
    first, second = part(), part()
    second["index"] = second["index"] + 1
    for batch in (first, second):
        before = {name: value.clone() for name, value in method.state_dict().items()}
        step(method, batch, optimizer)
        moved = (rows_of(method.latents) != before["latents.rows"]).any(dim=1).nonzero()[:, 0]
        assert torch.equal(moved, batch["index"])
        assert all((value != before[f"decoder.{name}"]).any() for name, value in method.decoder.named_parameters())


def test_the_loss_is_equation_4_8() -> None:
    method, batch = made("method.weight=0.5", "method.noise=0"), part()
    z = rows_of(method.latents)[batch["index"]]
    coefficients = method.shape.split(method.decoder(z))
    drawn = colours(pixel_positions(8, 8), coefficients, method.shape)
    errors = (drawn[..., 0] - batch["image"].flatten(1)) ** 2
    expected = errors.sum() / (6 * 64) + 0.5 / 6 * (z**2).sum()
    torch.testing.assert_close(method.objective(batch), expected, rtol=1e-9, atol=1e-12)


def test_the_error_of_a_pixel_is_summed_over_its_channels() -> None:
    images = numbers(2, 3, 4, 5)
    assert torch.equal(as_images(as_rows(images), 4, 5), images)
    assert torch.equal(as_rows(images)[1, 7], images[1, :, 1, 2])
    loss = Loss.of(as_rows(images), torch.zeros(2, 20, 3), torch.full((2, 4), 0.5))
    torch.testing.assert_close(loss.pixels, images.square().sum(dim=(1, 2, 3)) / 20, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(loss.total(2.0), loss.pixels + 2.0, rtol=1e-9, atol=1e-12)


def test_the_noise_of_a_latent_is_that_of_its_image_in_the_run() -> None:
    method = made("method.noise=0.3", "method.weight=1")
    loss, batch = method.objective(part()), part()
    noise = torch.cat([Stream(0, "noise of latents").normal(number, 1, 12) for number in range(40, 46)]).double()
    z = rows_of(method.latents)[batch["index"]]
    drawn = colours(pixel_positions(8, 8), method.shape.split(method.decoder(z + 0.3 * noise)), method.shape)
    expected = Loss.of(as_rows(batch["image"]), drawn, z).total(1.0).mean()  # the norm is that of what is learned
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    assert not torch.equal(loss, method.objective(part(first=41)))


def test_some_pixels_of_each_image_and_all_of_them() -> None:
    chosen = chosen_pixels(Stream(0, "pixels"), 5, 40, total=64, chosen=16)
    assert chosen.shape == (40, 16)
    assert all(len(row.unique()) == 16 for row in chosen)
    assert len(chosen.unique()) == 64
    assert torch.equal(chosen[3:5], chosen_pixels(Stream(0, "pixels"), 8, 2, total=64, chosen=16))
    whole, every, some = (
        made("method.noise=0", *given).objective(part()).detach()
        for given in ([], ["method.num_pixels=64"], ["method.num_pixels=16"])
    )
    torch.testing.assert_close(every, whole, rtol=1e-9, atol=1e-12)
    assert float(some) == pytest.approx(float(whole), rel=0.5)
    assert not torch.equal(some, whole)


def decoder(**settings: Any) -> CoefficientDecoder:
    torch.manual_seed(0)
    shape = Shape(width=6, depth=3, channels=3, kernel=settings.pop("kernel", "full"))
    return CoefficientDecoder(shape=shape, latent_dim=50, widths=[400], **settings)


@pytest.mark.parametrize(("kernel", "factor"), [("full", 1.0), ("cas", 1.0), ("odd", math.sqrt(2.0))])
def test_our_start_is_one_network_for_all_and_a_little_of_each(kernel: str, factor: float) -> None:
    ours = decoder(kernel=kernel)
    shape = Shape(width=6, depth=3, channels=3, kernel=kernel)
    base = shape.split(ours(torch.zeros(1, 50)))
    expected = [factor * scale for scale in (0.125, scale_at(1.0, 6), scale_at(1.0, 6), 0.3 / 8)]
    assert [float(matrix.detach().std()) for matrix in base] == pytest.approx(expected, rel=0.15)
    own = ours(torch.randn(40, 50)) - ours(torch.zeros(1, 50))
    share = [float(matrix.std()) for matrix in shape.split(own.detach())]
    assert all(0.2 * whole < part < whole for part, whole in zip(share, expected, strict=True))
    last = ours.layers[-1]
    assert isinstance(last, nn.Linear)
    assert float(last.weight.detach().std()) == pytest.approx(math.sqrt(2 / 400 / 2), rel=0.05)


def test_deep_bases_grow_no_more_than_one_of_depth_6() -> None:
    assert [chi_of(depth) for depth in (1, 3, 6)] == [1.0, 1.0, 1.0]
    for depth in (7, 10, 20):
        assert (1.0 + chi_of(depth)) ** (depth - 1) == pytest.approx(32.0)
        shape = Shape(width=6, depth=depth, channels=3, kernel="odd")
        deep = CoefficientDecoder(shape=shape, latent_dim=50, widths=[400])
        expected = math.sqrt(2.0) * scale_at(chi_of(depth), 6)
        assert [float(matrix.mean()) for matrix in shape.split(deep.scales[None])[1:-1]] == pytest.approx(
            [expected] * (depth - 1)
        )


def test_an_encoder_starts_where_all_images_share_one_network() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(image_shape=(3, 32, 32), latent_dim=110, widths=[1200, 600])
    images = torch.rand(64, 3, 32, 32) * 2 - 1
    assert 0.02 < float(encoder.encode(images).std()) < 0.1, "as a table's latents of deviation 0.05"


def test_the_printed_start_is_normal_weights_of_one_variance() -> None:
    printed = decoder(recipe="printed", variance=0.03, activation="relu")
    weights = [value for name, value in printed.named_parameters() if name.endswith("weight")]
    biases = [value for name, value in printed.named_parameters() if name.endswith("bias")]
    assert [float(weight.detach().std()) for weight in weights] == pytest.approx([math.sqrt(0.03)] * 2, rel=0.03)
    assert all(bool((bias == 0).all()) for bias in biases)
    assert printed.base is None
    assert len(weights) + len(biases) == len([*printed.parameters()])
    assert float(printed(torch.zeros(1, 50)).detach().abs().max()) == 0.0, "nothing is shared"


@pytest.mark.parametrize("width", [FASTER_FROM - 1, FASTER_FROM])
def test_either_form_of_the_layer_draws_the_same(width: int) -> None:
    shape = Shape(width=width, depth=2, channels=2, kernel="odd")
    stream = Stream(0, "coefficients")
    numbers = 0.1 * stream.normal(0, 3, shape.num_coefficients).double()
    points = pixel_positions(3, 4)
    torch.testing.assert_close(
        pixels(numbers, points, shape), colours(points, shape.split(numbers), shape), rtol=0, atol=1e-10
    )


def test_rates_run_along_lines() -> None:
    rate = Rate(1e-3, 1e-7)
    found = [rate.at(images, budget=1000) for images in (0, 500, 1000, 2000)]
    assert found == pytest.approx([1e-3, (1e-3 + 1e-7) / 2, 1e-7, 1e-7])
    method = made("max_kimg=1")
    groups = method.configure_optimizers().param_groups
    assert [(group["name"], group["by_row"], group["lr"]) for group in groups] == [
        ("decoder", False, 0.002), ("latents", True, 0.03)
    ]  # fmt: skip
    method.images_seen, method.global_batch = 400, 200
    optimizer = method.configure_optimizers()
    method.use_rates(optimizer)  # type: ignore[arg-type]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.001, 0.015])


def clusters(count: int = 400) -> tuple[Tensor, Tensor]:
    """Points of two normal laws around (4, 0) and (-4, 0), with deviations (1, 0.5), and which law each is of."""
    labels = torch.arange(count) % 2
    points = numbers(count, 2) * torch.tensor([1.0, 0.5]) + torch.tensor([[4.0, 0.0], [-4.0, 0.0]])[labels]
    return points, labels


def test_laws_have_the_moments_of_the_latents_and_the_mixture_finds_their_groups() -> None:
    points, _ = clusters()
    laws = LatentLaws(num_classes=0, latent_dim=2, components=2).double()
    laws.fit(points, None, images_seen=7)
    assert int(laws.fitted_at) == 7
    assert laws.names == ("gaussian", "mixture_2")
    shares, means, factors = (found[0] for found in laws.parts("gaussian"))
    covariance = torch.cov(points.T, correction=0)
    torch.testing.assert_close(means[0], points.mean(dim=0), rtol=0, atol=1e-9)
    torch.testing.assert_close(factors[0] @ factors[0].T, covariance, rtol=0, atol=1e-4)
    shares, means, _ = (found[0] for found in laws.parts("mixture_2"))
    assert shares.tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert sorted(means[:, 0].tolist()) == pytest.approx([-4.0, 4.0], abs=0.2)
    drawn = laws.draw("mixture_2", range(500), None, Stream(0, "x"))
    assert float((drawn[:, 0].abs() > 1.0).double().mean()) > 0.98, "nothing between the groups"
    assert float((laws.draw("gaussian", range(500), None, Stream(0, "x"))[:, 0].abs() > 1.0).double().mean()) < 0.9
    assert torch.equal(laws.draw("mixture_2", [3, 40], None, Stream(0, "x")), drawn[[3, 40]])
    assert not torch.equal(laws.draw("mixture_2", [3, 40], None, Stream(1, "x")), drawn[[3, 40]])


def test_laws_of_classes_are_their_own() -> None:
    points, labels = clusters()
    laws = LatentLaws(num_classes=2, latent_dim=2, components=3)
    laws.fit(points, labels, images_seen=0)
    asked = torch.arange(200) % 2
    drawn = laws.draw("mixture_3", range(200), asked, Stream(0, "x"))
    assert torch.equal(drawn[:, 0] < 0, asked == 1)
    with pytest.raises(ValueError, match="mixture_3 has 3 components, and 2 latents of class 0 to fit them to"):
        laws.fit(points[:4], labels[:4], images_seen=0)
    with pytest.raises(ValueError, match="all latents are the same"):
        laws.fit(torch.ones(10, 2), labels[:10], images_seen=0)


def test_samples_follow_the_latents_of_now_and_their_classes() -> None:
    method = made("method.noise=0").eval()
    first = method.sample(0, 2, seed=0)
    assert int(method.laws.fitted_at) == 0
    with torch.no_grad():
        rows_of(method.averaged_latents).mul_(20.0)
    assert torch.equal(method.sample(0, 2, seed=0), first), "the laws are those of this state"
    method.conclude(DIGITS)
    assert not torch.allclose(method.sample(0, 2, seed=0), first)
    last = method.sample(0, 2, seed=0)
    method.use_sampling("gaussian")
    assert not torch.allclose(method.sample(0, 2, seed=0), last)
    assert method.sample(0, 1, seed=0, image_size=11).shape == (1, 1, 11, 11)
    with pytest.raises(ValueError, match="sampling must be gaussian or mixture_10, got 'mixture_3'"):
        method.use_sampling("mixture_3")


@pytest.mark.parametrize("given", [["method.conditional=true", "method.components=3"], [ENCODER]])
def test_a_state_before_the_end_is_not_drawn_from_without_the_images(given: list[str]) -> None:
    method = made(*given).eval()
    with pytest.raises(ValueError, match="this is a state from before it: give the run's last"):
        method.sample(0, 2, seed=0)
    method.conclude(DIGITS)
    assert method.sample(0, 2, seed=0).isfinite().all()
    if method.num_classes:
        zero, one = (method.sample(0, 1, seed=0, labels=[label]) for label in (0, 1))
        assert not torch.allclose(zero, one)


def test_an_encoder_learns_with_the_decoder_and_says_the_latent_of_any_image() -> None:
    method, batch = made(ENCODER), part()
    assert isinstance(method.latents, ImageEncoder)
    before = [value.clone() for value in method.latents.parameters()]
    step(method, batch, method.configure_optimizers())
    assert all((value != old).any() for value, old in zip(method.latents.parameters(), before, strict=True))
    images = batch["image"]
    assert isinstance(method.averaged_latents, ImageEncoder)
    again = method.decode(method.averaged_latents.encode(images))
    assert torch.equal(method.reconstruct(images), again)
    assert method.learned_latents(DIGITS.split("train")[0]).shape == (1438, 12)


def test_a_new_image_is_searched_for_from_the_nearest_of_the_table() -> None:
    method = made("method.weight=0", "method.search_steps=100").eval()
    with torch.no_grad():
        rows_of(method.averaged_latents).mul_(20.0)
        hidden = rows_of(method.averaged_latents)[[0, -1]] + 0.1 * numbers(2, 12)
        images = method.decode(hidden)
        near = method.decode(rows_of(method.averaged_latents)[[0, -1]])
    with torch.inference_mode():
        found = method.reconstruct(images)
    assert float((found - images).square().mean()) < 0.1 * float((near - images).square().mean())
    torch.testing.assert_close(method.reconstruct(images[1:]), found[1:], rtol=0, atol=1e-9)
    assert method.averaged_decoder.base is not None
    assert method.averaged_decoder.base.grad is None


def test_quarter_of_a_pixel_for_cas() -> None:
    method = made("method.shift=0.25")
    assert torch.equal(method.points(torch.zeros(1).double()), pixel_positions(8, 8, shift=0.25))


def test_pictures_of_the_latents(tmp_path: Path) -> None:
    method = made().float().eval()
    written = reconstruct_training(method, tmp_path, seed=0, datamodule=DIGITS, count=4)
    facts = json.loads(written[1].read_text())
    images = DIGITS.split("train")[0]
    drawn = method.decode(rows_of(method.averaged_latents).detach())
    assert facts["squared_error"] == pytest.approx(float((drawn - images).square().mean()), rel=1e-4)
    assert facts["squared_error_of_mean_image"] == pytest.approx(0.295, abs=0.001)
    written += interpolate(method, tmp_path, seed=0, datamodule=DIGITS, rows=2, frames=3)
    assert all(path.exists() for path in written)


def test_lines_begin_and_end_at_what_is_drawn_of_both_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = made(ENCODER).float().eval()
    given: list[Tensor] = []
    decode = method.decode

    def watched(z: Tensor) -> Tensor:
        given.append(z)
        return decode(z)

    monkeypatch.setattr(method, "decode", watched)
    interpolate(method, tmp_path, seed=0, datamodule=DIGITS, rows=2, frames=3, new=True)
    ends = method.codes(held_out(DIGITS, some_numbers(DIGITS, 4, seed=0))[0])
    points = given[0].unflatten(0, (2, 3))
    torch.testing.assert_close(points[:, 0], ends[:2])
    torch.testing.assert_close(points[:, 2], ends[2:])
    torch.testing.assert_close(points[:, 1], 0.5 * (ends[:2] + ends[2:]))


def test_latents_of_another_length_and_tables_of_another_number_are_refused() -> None:
    method = made()
    with pytest.raises(ValueError, match=r"latents are \[B, 12\] here, got \[2, 11\]"):
        method.decode(torch.zeros(2, 11))
    assert isinstance(method.latents, LatentTable)
    with pytest.raises(
        ValueError, match=r"of 1438 images, and digits trains on 1294: set method\.latents\.num_images=1294"
    ):
        method.latents.check_number(1294, name="digits")


@pytest.mark.parametrize(("overrides", "message"), [
    (["method.decoder.recipe=theirs"], "unknown recipe 'theirs': choose one of ours, printed"),
    (["method.decoder.activation=tanh"], "unknown activation 'tanh'"),
    (["method.decoder.widths=[0]"], r"widths\[0\] must be at least 1, got 0"),
    (["method.shape.kernel=sin"], "unknown kernel 'sin'"),
    (["method.latents.num_images=0"], "num_images must be at least 1, got 0"),
    (["method.weight=-1"], "weight must be at least 0, got -1"),
    (["method.noise=-1"], "noise must be at least 0, got -1"),
    (["method.components=0"], "components must be at least 1, got 0"),
    (["method.num_pixels=65"], "num_pixels must be from 1 to the 64 of an image, or null for all, got 65"),
    (["method.budget_kimg=0"], "budget_kimg must be above 0, got 0"),
    (["method.rates.decoder=[0.1]"], "rates are those of decoder and latents, a start and an end each"),
    (["method.rates.decoder=[0.1, 0.2]"], "a rate falls from a number above 0 to one from 0 on, got 0.1 to 0.2"),
    (["method.optimizer.betas=[0.9, 1.0]"], "betas must be at least 0 and below 1"),
    (["method.sampling=convex_2"], "sampling must be gaussian or mixture_10, got 'convex_2'"),
])  # fmt: skip
def test_bad_settings_are_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(*overrides).configure_optimizers()
