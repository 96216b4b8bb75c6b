"""The polynomial generator against the authors' released one, a plain formulation and its own laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr.convert import generator_of_released
from lightning_modules.poly_inr.levels import at_positions
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.plain import render_plainly
from lightning_modules.poly_inr.synthesis import Synthesis
from tests.support.released import released_outputs

PARAMETERIZATIONS = ["released", "text", "style"]


def relative(ours: Tensor, theirs: np.ndarray | Tensor) -> float:
    """Largest absolute difference over largest absolute value."""
    reference = torch.as_tensor(theirs)
    assert ours.shape == reference.shape
    return float((ours - reference).abs().max() / reference.abs().max())


def small(parameterization: str = "released", **changes: object) -> Generator:
    torch.manual_seed(0)
    settings = {
        "image_channels": 3,
        "num_classes": 4,
        "num_levels": 5,
        "width": 16,
        "latent_dim": 8,
        "w_dim": 12,
        "embedding_dim": 6,
    }
    return Generator(parameterization=parameterization, **(settings | changes))  # type: ignore[arg-type]


@released_outputs("poly_inr_released_*.npz")
def test_released_outputs(path: Path) -> None:
    golden = np.load(path)
    generator = generator_of_released(
        {key[3:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("sd/")}
    )
    z = torch.from_numpy(golden["z"])
    labels = torch.from_numpy(golden["label"]) if int(golden["num_classes"]) else None
    ws = generator.broadcast(generator.mapping(z, labels))
    assert relative(ws, golden["ws"]) < 1e-5
    truncated = generator.mapping.truncate(ws, labels, psi=0.7)
    assert relative(truncated, golden["ws_psi07"]) < 1e-5

    size, other = int(golden["resolution"]), int(golden["other_resolution"])
    # Levels 0 to 4 of each image with the levels from 5 of another: the batch in reverse order.
    mixed = torch.cat([ws[:, :5], ws.flip(0)[:, 5:]], dim=1)
    for codes, resolution, key in [
        (ws, size, "image"),
        (truncated, size, "image_psi07"),
        (ws, other, "image_other_resolution"),
        (mixed, other, "image_mixed_from_level5"),
    ]:
        grid = coordinate_grid(resolution, resolution)
        assert relative(generator.render(generator.heads(codes), grid), golden[key]) < 1e-5, key
        with torch.no_grad():
            assert relative(generator.render(generator.heads(codes), grid), golden[key]) < 1e-5, f"{key}, in chunks"
        assert relative(render_plainly(generator, codes, grid), golden[key]) < 1e-5, f"{key}, plainly"


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"num_classes": 1000, "width": 1024}, 45_869_695),
        ({"num_classes": 0, "width": 512}, 13_198_399),
    ],
    ids=["imagenet", "ffhq"],
)
def test_parameter_counts(settings: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        generator = Generator(image_channels=3, **settings)  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in generator.parameters()) == count


def test_the_counts_of_the_paper() -> None:
    """The released code stores the 256 x 256 grid, and the FFHQ model an embedding that it never uses, as parameters."""
    grid, embedding = 256 * 256 * 2, 1000 * 320
    assert 45_869_695 + grid == 46_000_767  # Table 6.1 (d): 46.0 M
    assert 13_198_399 + embedding + grid == 13_649_471  # Table 6.2: 13.6 M


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("num_classes", [0, 4])
def test_shapes_and_any_grid(parameterization: str, num_classes: int) -> None:
    generator = small(parameterization, num_classes=num_classes)
    labels = torch.tensor([0, 1, 3]) if num_classes else None
    z = torch.randn(3, 8)
    assert generator.affine(z, labels).shape == (3, 5, 3, 16)
    assert generator(z, labels, coordinate_grid(8, 6)).shape == (3, 3, 8, 6)
    small_image = generator(z, labels, coordinate_grid(8, 8))
    large_image = generator(z, labels, coordinate_grid(64, 64))
    # Every ninth pixel of 64 x 64 is the 8 x 8 image: the same point, other company in the matrix product.
    assert relative(large_image[..., ::9, ::9], small_image) < 1e-5
    beyond = generator(z, labels, coordinate_grid(7, 7, window=(-0.25, 1.25)))
    assert relative(beyond[..., 1:-1, 1:-1], generator(z, labels, coordinate_grid(5, 5))) < 1e-5


def test_folded_equals_plain_with_gradients() -> None:
    generator = small().double()
    ws = torch.randn(2, 5, 12, dtype=torch.float64)
    grid = coordinate_grid(6, 6).double()
    folded, plain = generator.render(generator.heads(ws), grid), render_plainly(generator, ws, grid)
    assert relative(folded, plain) < 1e-12
    weights = torch.randn_like(folded)
    for a, b in zip(
        torch.autograd.grad((folded * weights).sum(), list(generator.heads.parameters())),
        torch.autograd.grad((plain * weights).sum(), list(generator.heads.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="of the parameterization 'released'"):
        render_plainly(small("text"), ws.float(), grid.float())


def monomials(positions: Tensor, degree: int) -> Tensor:
    """x^p y^q for p + q <= degree at positions [P, 2] in [-1, 1]^2, as products of Legendre polynomials: [P, M]."""
    x, y = (np.polynomial.legendre.legvander(2 * positions[:, i].numpy() - 1, degree) for i in (0, 1))
    return torch.from_numpy(
        np.stack([x[:, p] * y[:, q] for p in range(degree + 1) for q in range(degree + 1 - p)], axis=1)
    )


def fit_residual(image: Tensor, grid: Tensor, degree: int) -> float:
    """Largest residual of the best polynomial of total degree ``degree``, relative to the largest value."""
    basis = monomials(grid.flatten(0, 1), degree)
    values = image.flatten(1).T
    solution = torch.linalg.lstsq(basis, values, driver="gelsd").solution
    return float((basis @ solution - values).abs().max() / values.abs().max())


def test_the_polynomial_law() -> None:
    """With slope 1 the ten levels of eq. 6.3 are a polynomial of total degree 10 in the position, and not of 9."""
    torch.manual_seed(1)
    generator = Generator(
        image_channels=2, parameterization="text", num_levels=10, width=24, latent_dim=8, w_dim=16
    ).double()
    generator.synthesis.activation_slope = 1.0
    for layer in (*generator.synthesis.levels, *generator.heads.levels):
        torch.nn.init.normal_(layer.weight, std=(2.0 / layer.in_features) ** 0.5)
    grid = coordinate_grid(24, 24).double()
    image = generator(torch.randn(1, 8, dtype=torch.float64), None, grid)[0]
    assert fit_residual(image, grid, 10) < 1e-9
    assert fit_residual(image, grid, 9) > 1e-6
    generator.synthesis.activation_slope = 0.2
    broken = generator(torch.randn(1, 8, dtype=torch.float64), None, grid)[0]
    assert fit_residual(broken, grid, 10) > 1e-6, "leaky ReLU makes it piecewise"


def test_without_slopes_in_the_position_the_image_is_constant() -> None:
    """Section 6.3: with a_j = b_j = 0 only the style c_j is left, the same at every pixel."""
    synthesis = Synthesis(num_levels=3, width=8, image_channels=1, modulation_slope=0.2, clamp=256.0)
    affine = torch.randn(2, 3, 3, 8)
    affine[:, :, :2] = 0
    colours = synthesis(affine, coordinate_grid(5, 5).flatten(0, 1))
    assert torch.allclose(colours, colours[:, :1].expand_as(colours))
    assert not torch.allclose(colours[0], colours[1])


def test_mapping_ignores_the_radius_unless_told() -> None:
    z, labels = torch.randn(3, 8), torch.tensor([0, 1, 2])
    deaf, keen = small(), small(normalize_latents=False)
    assert torch.allclose(deaf.mapping(z, labels), deaf.mapping(3 * z, labels), atol=1e-5)
    assert not torch.allclose(keen.mapping(z, labels), keen.mapping(3 * z, labels), atol=1e-2)


def test_the_running_mean_of_w_is_its_closed_form() -> None:
    """sum decay^(n - i) m_i over sum decay^(n - i), over the n batches that hold the class; m_i is its mean of w in one."""
    mapping = small().mapping.double()
    steps = [torch.randn(6, 12, dtype=torch.float64) + 3 for _ in range(40)]
    labels = torch.tensor([0, 0, 1, 1, 1, 3])
    without_3 = torch.tensor([0, 0, 1, 1, 1, 1])
    for n, w in enumerate(steps):
        mapping.track_average(w, labels if n % 4 == 0 else without_3)
        if n == 0:
            assert torch.allclose(mapping.average[0], w[:2].mean(dim=0)), "the first mean is that of the first batch"

    def closed_form(means: list[Tensor]) -> Tensor:
        weights = 0.998 ** torch.arange(len(means) - 1, -1, -1, dtype=torch.float64)
        return (weights[:, None] * torch.stack(means)).sum(dim=0) / weights.sum()

    expected = closed_form([w[:2].mean(dim=0) for w in steps])
    torch.testing.assert_close(mapping.average[0], expected, rtol=1e-12, atol=1e-12)
    expected = closed_form([w[5] for w in steps[::4]])
    torch.testing.assert_close(mapping.average[3], expected, rtol=1e-12, atol=1e-12)
    assert mapping.average_updates.flatten().tolist() == [40, 40, 0, 10]
    assert (mapping.average[2] == 0).all(), "a class that was not seen stays"


def test_the_running_mean_forgets_what_lies_far_back() -> None:
    """0.998 ** 346 is one half: of a w that was 0 and is 1 from then on, half remains."""
    mapping = small(num_classes=0).mapping.double()
    for value in (0.0, 1.0):
        for _ in range(4000 if value == 0 else 346):
            mapping.track_average(torch.full((1, 12), value, dtype=torch.float64), None)
    assert mapping.average[0, 0].item() == pytest.approx(0.5, abs=2e-3)


def test_truncation() -> None:
    mapping = small().mapping
    mapping.average.normal_()
    ws = torch.randn(2, 5, 12)
    asked = torch.tensor([0, 3])
    assert torch.allclose(mapping.truncate(ws, asked, psi=1.0), ws)
    assert torch.allclose(mapping.truncate(ws, asked, psi=0.0), mapping.average[asked][:, None].expand_as(ws))


@pytest.mark.parametrize("num_classes", [0, 4])
def test_a_mean_that_comes_without_a_count_is_settled(num_classes: int) -> None:
    """Checkpoints of before the count, and the authors' weights: the mean moves by 1 - decay at once."""
    trained, fresh = (small(num_classes=num_classes) for _ in range(2))
    trained.mapping.average.normal_()
    older = {name: value for name, value in trained.state_dict().items() if name != "mapping.average_updates"}
    fresh.load_state_dict(older)
    assert "mapping.average_updates" not in older, "what was given is left as it was"
    assert torch.equal(fresh.mapping.average, trained.mapping.average)
    w = torch.randn(8, 12)
    labels = torch.zeros(8, dtype=torch.long) if num_classes else None
    expected = torch.lerp(trained.mapping.average[0], w.mean(dim=0), 0.002)
    fresh.mapping.track_average(w, labels)
    torch.testing.assert_close(fresh.mapping.average[0], expected)
    again = small(num_classes=num_classes)
    again.load_state_dict(fresh.state_dict())
    assert torch.equal(again.mapping.average_updates, fresh.mapping.average_updates), "and stays so"
    with pytest.raises(RuntimeError, match=r"Missing key.*mapping\.average"):
        fresh.load_state_dict({name: value for name, value in older.items() if name != "mapping.average"})


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="unknown parameterization 'texts': choose one of released, text"):
        small("texts")
    with pytest.raises(ValueError, match="conditional: give a label"):
        small().mapping(torch.randn(1, 8))
    with pytest.raises(ValueError, match="unconditional: it takes no labels"):
        small(num_classes=0).mapping(torch.randn(1, 8), torch.tensor([0]))


def test_neighbouring_rows_stay_apart_under_autocast() -> None:
    """A ramp from top to bottom: each of 512 rows has a value of its own before the last layers round it."""
    ramp = torch.zeros(1, 3, 1)
    ramp[0, 0] = 1.0
    x = torch.nn.functional.pad(coordinate_grid(512, 2)[:, 0], (0, 1), value=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(at_positions(x, ramp).unique()) == 512
        assert len((x @ ramp).unique()) < 512, "what would happen without"
