"""All ways to evaluate the synthesis network give the values and gradients of one formula, in bounded memory."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from generate import generate
from generative.rendering.coordinates import coordinate_grid
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.poly_inr import synthesis as module
from lightning_modules.poly_inr.levels import Activation, ModulatedLinear
from lightning_modules.poly_inr.networks import PARAMETERIZATIONS, Generator
from lightning_modules.poly_inr.plain import render_plainly
from lightning_modules.poly_inr.synthesis import Synthesis
from tests.test_train import Run, table

ROOT = Path(__file__).resolve().parents[3]
CHUNK = 16


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PIXELS_AT_ONCE, "cpu", CHUNK)


def small(parameterization: str = "released", **changes: object) -> Generator:
    torch.manual_seed(0)
    settings = {"image_channels": 3, "num_levels": 5, "width": 16, "latent_dim": 8, "w_dim": 12}
    generator = Generator(parameterization=parameterization, **(settings | changes))  # type: ignore[arg-type]
    if generator.synthesis.clamp is not None:
        generator.synthesis.clamp = 0.15  # so that a share of the features meets it
    return generator


def codes(generator: Generator, batch: int) -> Tensor:
    z = torch.randn(batch, 8, generator=torch.Generator().manual_seed(1))
    return generator.affine(z.to(generator.mapping.average)).detach()


def relative(ours: Tensor, reference: Tensor) -> float:
    """Largest absolute difference over largest absolute value."""
    assert ours.shape == reference.shape
    return float((ours.detach() - reference.detach()).abs().max() / reference.detach().abs().max())


def formula(generator: Generator, affine: Tensor, positions: Tensor) -> Tensor:
    """With gradients on: no chunks."""
    with torch.enable_grad():
        return generator.render(affine, positions).detach()


# Height, width, images: of one full chunk, of several and a rest, smaller than a chunk with several images in one and
# a rest of images, of one row.
SIZES = [(4, 4, 1), (7, 9, 2), (2, 3, 5), (1, 41, 3), (5, 1, 1)]


@pytest.mark.parametrize(("height", "width", "batch"), SIZES)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_chunks_hold_the_values_of_the_formula(parameterization: str, height: int, width: int, batch: int) -> None:
    generator = small(parameterization)
    affine = codes(generator, batch)
    positions = torch.rand(height, width, 2)
    expected = formula(generator, affine, positions)
    assert generator.synthesis.clamp is None or clamped_share(generator, affine, positions) > 0.01
    with torch.no_grad():
        drawn = generator.render(affine, positions)
    assert drawn.is_contiguous()
    assert relative(drawn, expected) < 1e-5
    with torch.inference_mode():
        assert relative(generator.render(affine, positions), expected) < 1e-5


def clamped_share(generator: Generator, affine: Tensor, positions: Tensor) -> float:
    """Of the features before the last layer that stand at the clamp."""
    seen: list[Tensor] = []
    handle = generator.synthesis.to_image.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    formula(generator, affine, positions)
    handle.remove()
    return float((seen[0].abs() == generator.synthesis.clamp).float().mean())


def test_chunks_hold_the_values_of_the_plain_formulation() -> None:
    generator = small()
    ws = torch.randn(3, 5, 12)
    grid = coordinate_grid(7, 9)
    with torch.no_grad():
        assert relative(generator.render(generator.heads(ws), grid), render_plainly(generator, ws, grid)) < 1e-5


def test_no_image_is_an_image_too() -> None:
    generator = small()
    with torch.no_grad():
        assert generator.render(codes(generator, 2)[:0], coordinate_grid(3, 4)).shape == (0, 3, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_chunks_in_other_types(dtype: torch.dtype) -> None:
    generator = small().to(dtype)
    affine, grid = codes(generator, 2), coordinate_grid(7, 9).to(dtype)
    with torch.no_grad():
        drawn = generator.render(affine, grid)
    assert drawn.dtype == dtype
    assert relative(drawn, formula(generator, affine, grid)) < (1e-12 if dtype == torch.float64 else 0.02)


def test_chunks_under_autocast() -> None:
    """Values and type of the formula under autocast: a buffer has one type, the formula there two."""
    generator = small()
    affine, grid = codes(generator, 2), coordinate_grid(7, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = formula(generator, affine, grid)
        with torch.no_grad():
            drawn = generator.render(affine, grid)
    assert drawn.dtype == expected.dtype == torch.bfloat16
    assert relative(drawn.float(), expected.float()) < 1e-2
    assert relative(expected.float(), formula(generator, affine, grid)) > 1e-4, "else autocast was off"


class LargestTensor(TorchDispatchMode):
    """The elements of the largest tensor that an operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("autocast", [False, True])
def test_no_tensor_grows_with_the_image_times_the_width(autocast: bool) -> None:
    generator = small(width=64)
    affine, grid = codes(generator, 2), coordinate_grid(40, 40)
    with LargestTensor() as largest, torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        generator.render(affine, grid)
    assert largest.elements <= 2 * 3 * 40 * 40, "the images or the affine parameters are the largest"
    with LargestTensor() as largest:
        generator.render(affine, grid)
    assert largest.elements == 2 * 40 * 40 * 64


def test_a_hook_sees_all_pixels() -> None:
    generator = small()
    seen: list[torch.Size] = []
    generator.synthesis.levels[3].register_forward_hook(lambda _, __, features: seen.append(features.shape))
    with torch.no_grad():
        generator.render(codes(generator, 2), coordinate_grid(7, 9))
    assert seen == [(2, 63, 16)]


def gradients(generator: Generator, grid: Tensor, *, batch: int) -> dict[str, Tensor]:
    """Of a weighted sum of images by all that acts on them: parameters, affine parameters, positions."""
    z = torch.randn(batch, 8, generator=torch.Generator().manual_seed(1), dtype=grid.dtype)
    affine, positions = generator.affine(z), grid.clone().requires_grad_()
    affine.retain_grad()
    images = generator.render(affine, positions)
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(2), dtype=grid.dtype)
    generator.zero_grad()
    (images * weights).sum().backward()
    assert affine.grad is not None
    assert positions.grad is not None
    named = {name: p.grad for name, p in generator.named_parameters() if p.grad is not None}
    return named | {"affine": affine.grad, "positions": positions.grad}


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_recomputed_gradients_are_those_of_autograd(
    parameterization: str, dtype: torch.dtype, tolerance: float
) -> None:
    grid = coordinate_grid(5, 7).to(dtype)
    stored = gradients(small(parameterization).to(dtype), grid, batch=3)
    recomputed = gradients(small(parameterization, recompute=True).to(dtype), grid, batch=3)
    assert stored.keys() == recomputed.keys()
    for name, expected in stored.items():
        assert relative(recomputed[name], expected) < tolerance, name


def test_recomputed_gradients_under_autocast() -> None:
    """As close to autograd's as bfloat16 lets them be.

    Out of reach of the clamp: whether a feature that was rounded onto it has a gradient differs between versions of PyTorch.
    """
    grid = coordinate_grid(5, 7)

    def unclamped(**changes: object) -> Generator:
        generator = small(**changes)
        generator.synthesis.clamp = 256.0
        return generator

    exact = gradients(unclamped(), grid, batch=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stored = gradients(unclamped(), grid, batch=3)
        recomputed = gradients(unclamped(recompute=True), grid, batch=3)
    for name, expected in stored.items():
        assert recomputed[name].dtype == expected.dtype
        error = (recomputed[name] - exact[name]).norm()
        assert error <= 1.5 * (expected - exact[name]).norm() + 0.02 * exact[name].norm(), name


def test_autocast_around_the_backward_pass_changes_nothing() -> None:
    """Lightning runs it there: sums over the pixels stay in float32."""
    found = []
    for around in (False, True):
        generator = small(recompute=True)
        affine = codes(generator, 2).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images = generator.render(affine, coordinate_grid(9, 9))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around):
            images.float().square().sum().backward()
        found.append(affine.grad[:, 1:])  # level 0 is a product of two matrices, which autograd takes back
    assert torch.equal(*found)


def test_recomputing_functions_pass_gradcheck() -> None:
    torch.manual_seed(0)
    double = functools.partial(torch.randn, dtype=torch.float64)
    h, x, affine, weight, bias = double(2, 4, 3), double(4, 3), double(2, 3, 3), double(5, 3), double(5)
    inputs = [tensor.requires_grad_() for tensor in (h, x, affine, weight, bias)]
    assert torch.autograd.gradcheck(lambda *given: ModulatedLinear.apply(*given, 0.2), inputs)
    y = double(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: Activation.apply(y.clone(), 0.2, 1.0), [y])
    assert torch.autograd.gradcheck(lambda y: Activation.apply(y.clone(), 1.0, None), [y])


def test_recomputing_keeps_one_tensor_a_level() -> None:
    def kept(generator: Generator) -> int:
        """Elements of size [B, P, n] that wait for the backward pass."""
        grid, storages = coordinate_grid(8, 8), {}
        affine = codes(generator, 2)

        def pack(tensor: Tensor) -> Tensor:
            if tensor.numel() == 2 * 64 * 16:
                storages[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            generator.render(affine, grid)
        return len(storages)

    assert kept(small(recompute=True)) == 5
    assert kept(small()) > 15


def test_frozen_weights_need_no_gradients_of_recomputing() -> None:
    """As when an image is embedded: the affine parameters alone move."""
    found = []
    for recompute in (False, True):
        generator = small(recompute=recompute).requires_grad_(False)
        affine = codes(generator, 2).requires_grad_()
        generator.render(affine, coordinate_grid(4, 5)).square().sum().backward()
        found.append(affine.grad)
    assert relative(found[1], found[0]) < 1e-4


def test_recomputing_refuses_second_derivatives() -> None:
    generator = small(recompute=True)
    images = generator.render(codes(generator, 1), coordinate_grid(3, 3))
    with pytest.raises(ValueError, match=r"first derivatives alone, .* set recompute=false"):
        torch.autograd.grad(images.sum(), list(generator.synthesis.parameters()), create_graph=True)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_recomputes_to_the_same_losses(precision: str, small_run: Run, tmp_path: Path) -> None:
    rows = {}
    for recompute in ("false", "true"):
        folder, _ = small_run(
            "max_kimg=0.08",
            "callbacks.losses.every_kimg=0.016",
            f"trainer.precision={precision}",
            f"+method.generator.recompute={recompute}",
            run_dir=tmp_path / recompute,
        )
        rows[recompute] = table(folder)[:5]
    for stored, recomputed in zip(rows["false"], rows["true"], strict=True):
        for column in ("loss/generator", "loss/critic"):
            expected = pytest.approx(float(stored[column]), rel=1e-5 if precision == "32-true" else 3e-2)
            assert float(recomputed[column]) == expected


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """torch.compile without a compiler: traces, then runs what it traced; the shapes that it was called with."""
    called: list[torch.Size] = []
    traced = torch.compile(Synthesis.colours, dynamic=False, fullgraph=True, backend="eager")

    def colours(synthesis: Synthesis, affine: Tensor, x: Tensor) -> Tensor:
        called.append(x.shape)
        return traced(synthesis, affine, x)

    monkeypatch.setattr(module, "compiled_colours", lambda: colours)
    return called


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_full_chunks_are_compiled(parameterization: str, interpreted: list[torch.Size]) -> None:
    generator = small(parameterization)
    affine, grid = codes(generator, 2), coordinate_grid(7, 5)
    expected = formula(generator, affine, grid)
    generator.synthesis.compile_drawing()
    interpreted.clear()
    with torch.no_grad():
        assert relative(generator.render(affine, grid), expected) < 1e-5
        assert interpreted == [(CHUNK, 3)] * 4, "two of 16 pixels of each image, and not the rest of 3"
        generator.render(affine, coordinate_grid(2, 2))
    generator.render(affine, grid).sum().backward()
    assert len(interpreted) == 4


def test_generate_by_compiled_code(
    interpreted: list[torch.Size], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, method = build(plain(compose("train", ["experiment=none", "run_dir=x"])))
    monkeypatch.setattr("launch.checkpoint.load_method", lambda path, *, device: (method.eval(), None))
    settings = ["checkpoint=x", f"output={tmp_path}", "+options.rows=1", "+options.classes=[3]"]
    generate(compose("generate", settings))
    assert interpreted == []
    generate(compose("generate", [*settings, "compile=true"]))
    assert interpreted == [(CHUNK, 3)] * (1 + 64 // CHUNK)
    assert re.search(r"compiled in \d+\.\d s\n", capsys.readouterr().err)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor counts as a device on which passes over the features cost as much as products."""
    monkeypatch.setattr(module, "IN_PLACE_ON", set())


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(("height", "width", "batch"), SIZES)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_few_passes_give_the_values_of_the_formula(parameterization: str, height: int, width: int, batch: int) -> None:
    generator = small(parameterization, num_levels=1 if (height, width) == (5, 1) else 5)
    affine, positions = codes(generator, batch), torch.rand(height, width, 2)
    expected = formula(generator, affine, positions)
    with torch.no_grad():
        assert relative(generator.render(affine, positions), expected) < 1e-5
        exact = generator.double().render(affine.double(), positions.double())
    assert relative(exact, formula(generator, affine.double(), positions.double())) < 1e-12


@pytest.mark.usefixtures("as_on_a_gpu")
def test_few_passes_under_autocast() -> None:
    """The type of the formula there, and no further from float32 than twice what the formula is."""
    generator = small()
    affine, grid = codes(generator, 2), coordinate_grid(7, 9)
    exact = formula(generator, affine, grid)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        drawn = generator.render(affine, grid)
        error = relative(formula(generator, affine, grid).float(), exact)
    assert drawn.dtype == torch.bfloat16
    assert 1e-4 < relative(drawn.float(), exact) < 2 * error


class Products(TorchDispatchMode):
    """How often the weights are brought to another type, and the operations on tensors of all pixels' features."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.width, self.features = width, features
        self.casts, self.passes = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and result.shape == (self.width, self.width):
            self.casts += 1
        if isinstance(result, Tensor) and result.numel() == self.features:
            self.passes.append(func.overloadpacket.__name__)
        return result


@pytest.mark.usefixtures("as_on_a_gpu")
def test_weights_are_cast_once_a_drawing_and_products_over_three_terms_are_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(module.PIXELS_AT_ONCE, "other", CHUNK)
    monkeypatch.setitem(module.PIXELS_AT_ONCE, "cpu", CHUNK)
    generator = small(width=12)
    affine, grid = codes(generator, 3), coordinate_grid(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad(), Products(12, CHUNK * 12) as seen:
        generator.render(affine, grid)
    assert seen.casts == 5, "each level's weight once, not once in each of 12 chunks"
    assert seen.passes.count("addmm") == 4 * 12
    assert not {"mm", "bmm", "baddbmm"} & set(seen.passes)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_large_images_are_drawn_by_compiled_passes(parameterization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a size on, whatever the batch; the values are those of the formula, by a compiler that only traces."""
    traced: list[int] = []

    def compiled(*settings: float | None) -> module.Passes:
        first, between = module.eager_passes(*settings)

        def counted(y: Tensor, x: Tensor, affine: Tensor) -> Tensor:
            traced.append(len(y))
            return torch.compile(between, fullgraph=True, dynamic=True, backend="eager")(y, x, affine)

        return module.Passes(first, counted)

    monkeypatch.setattr(module, "compiled_where_possible", compiled)
    monkeypatch.setattr(module, "COMPILED_FROM", 16 * 16)
    generator = small(parameterization)
    affine = codes(generator, 2)
    with torch.no_grad():
        generator.render(affine, coordinate_grid(3, 5))
        assert traced == []
        drawn = generator.render(affine, coordinate_grid(4, 4))
    assert traced == [1] * 8
    assert relative(drawn, formula(generator, affine, coordinate_grid(4, 4))) < 1e-5


@pytest.mark.usefixtures("as_on_a_gpu")
def test_without_a_compiler_large_images_are_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning, not one an image."""
    errors = module.compiler_errors()

    def broken(*tensors: Tensor) -> Tensor:
        raise errors(lambda: None, RuntimeError("no compiler"), None)

    monkeypatch.setattr(module, "compiled_passes", lambda *settings: module.Passes(broken, broken))
    monkeypatch.setattr(module, "COMPILED_FROM", 1)
    module.compiled_where_possible.cache_clear()
    generator = small()
    affine, grid = codes(generator, 2), coordinate_grid(4, 4)
    with torch.no_grad(), pytest.warns(UserWarning, match="torch.compile needs a C\\+\\+ compiler") as warned:
        drawn = [generator.render(affine, grid) for _ in range(2)]
    module.compiled_where_possible.cache_clear()
    assert len(warned) == 1
    assert torch.equal(*drawn)
    assert relative(drawn[0], formula(generator, affine, grid)) < 1e-5
    with pytest.raises(ValueError, match=r"leave out compile=true"):
        generator.synthesis.compile_drawing()


def test_what_has_no_compiled_code_says_so() -> None:
    _, method = build(plain(compose("train", ["experiment=none", "method=classifier", "run_dir=x"])))
    with pytest.raises(ValueError, match="Classifier has no compiled code to draw by: leave out compile=true"):
        method.compile_drawing()


SCRIPT = """
import torch
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr.networks import Generator
torch.manual_seed(0)
generator = Generator(image_channels=3, num_levels=3, width=16)
try:
    assert generator.synthesis.compile_drawing() > 0
except ValueError as error:
    print(error)
affine, grid = torch.randn(1, 3, 3, 16), coordinate_grid(40, 40)
expected = generator.render(affine, grid)
with torch.no_grad():
    torch.testing.assert_close(generator.render(affine, grid), expected, rtol=1e-5, atol=1e-5)
print(generator.synthesis.compiled)
"""


@pytest.mark.soak
@pytest.mark.parametrize("compiler", ["g++", "/nowhere/g++"])
def test_with_a_compiler_and_without(compiler: str, tmp_path: Path) -> None:
    if compiler == "g++" and shutil.which("g++") is None:
        pytest.skip("this machine has no g++")
    environment = {**os.environ, "CXX": compiler, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    if compiler == "g++":
        assert done.stdout == "True\n"
    else:
        sentence, compiled = done.stdout.splitlines()
        assert sentence.startswith("torch.compile needs a working C++ compiler (g++, or what CXX names): Invalid")
        assert sentence.endswith("leave out compile=true")
        assert compiled == "False"
