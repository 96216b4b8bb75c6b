"""Images to files and back: exact numbers, targets held, and each bad input refused in a sentence."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from generative.codec import container
from generative.codec.quantization import step_of
from generative.codec.rate_distortion import psnr
from lightning_modules.dfm import coded as coded_images
from lightning_modules.dfm.codec import main, read_image
from lightning_modules.dfm.coded import CodedImage, read_coded, rounded
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.encoding import Candidates, RoundedNetworks, encode
from lightning_modules.dfm.layer import KERNELS
from lightning_modules.dfm.networks import Shape, colours, pixel_positions
from lightning_modules.dfm.rate_control import AtLeastQuality, AtMostBytes, Rounder, sensitivities
from lightning_modules.dfm.start import first_scales, random_coefficients

pytestmark = pytest.mark.skipif(importlib.util.find_spec("constriction") is None, reason="needs the extra [codec]")
SMALL = Candidates(width=3, depth=2)
STEPS = ["--steps", "20", "--width", "3", "--depth", "2"]


def coefficients_of(shape: Shape, seed: int = 0) -> list[Tensor]:
    return random_coefficients(shape, first_scales(shape), generator=torch.Generator().manual_seed(seed))


def photo(side: int = 16, channels: int = 3) -> Tensor:
    """A smooth image: uint8 [channels, side, side]."""
    ramp = torch.linspace(0, 1, side)
    waves = [(6.28 * (ramp[:, None] + place * ramp[None] / 2)).sin() for place in range(channels)]
    return (127.5 + 100 * torch.stack(waves)).to(torch.uint8)


def some_file(kernel: str = "full", channels: int = 3) -> CodedImage:
    shape = Shape(width=4, depth=3, channels=channels, kernel=kernel)
    return rounded(coefficients_of(shape), shape, (140, 141, 142, 143), (12, 20))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_come_back_exactly(kernel: str, channels: int) -> None:
    written = some_file(kernel, channels)
    found = read_coded(written.content, "a.dfm")
    assert (found.shape, found.pixels, found.steps) == (written.shape, (12, 20), written.steps)
    assert all(np.array_equal(a, b) for a, b in zip(found.numbers, written.numbers, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(found.coefficients(), written.coefficients(), strict=True))
    assert torch.equal(found.image(), written.image())
    assert len(written.content) <= written.num_bytes <= len(written.content) + 4
    assert KERNELS == container.KERNELS, "their places are numbers in files"


def test_rounding_keeps_within_half_a_step_but_for_the_sine_of_0() -> None:
    shape = Shape(width=4, depth=3, channels=3)
    given = coefficients_of(shape)
    for before, after, code in zip(given, some_file().coefficients(), some_file().steps, strict=True):
        zeroth = len(before) // 2
        assert not after[zeroth].any()
        rest = torch.arange(len(before)) != zeroth
        assert float((before - after)[rest].abs().max()) <= step_of(code) / 2 * 1.0001


def test_an_image_is_what_its_coefficients_draw_and_at_twice_the_size_has_its_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = some_file()
    image = file.image()
    assert image.shape == (3, 12, 20)
    drawn = colours(pixel_positions(12, 20), [m.double() for m in file.coefficients()], file.shape)
    expected = ((drawn + 1) * 127.5).round().T.unflatten(1, (12, 20))
    assert float((image - expected).abs().max()) <= 1
    monkeypatch.setattr(coded_images, "AT_ONCE", 64)  # four points at a time
    twice = file.image((24, 40))
    assert twice.shape == (3, 24, 40)
    assert torch.equal(twice[:, ::2, ::2], image)
    assert not torch.equal(twice[:, 1::2, ::2], image), "between them the network goes on"


def test_sensitivities_are_root_mean_squares_of_the_jacobian() -> None:
    shape = Shape(width=3, depth=2, channels=2)
    matrices, points = coefficients_of(shape), pixel_positions(5, 5).float()

    def outputs(*weights: Tensor) -> Tensor:
        return colours(points, weights, shape)

    jacobians = torch.autograd.functional.jacobian(outputs, tuple(matrices))
    expected = [float(jacobian.square().mean().sqrt()) for jacobian in jacobians]
    # Four probes of random signs: their error falls with the number of coefficients.
    means = torch.tensor([sensitivities(matrices, shape, points, seed=seed) for seed in range(12)])
    assert means.square().mean(dim=0).sqrt().tolist() == pytest.approx(expected, rel=0.2)


def test_rounded_networks_are_what_a_file_decodes_to_and_can_be_tuned() -> None:
    file, shape = some_file(), Shape(width=4, depth=3, channels=3)
    parts = [matrix[None].requires_grad_() for matrix in coefficients_of(shape)]
    found = RoundedNetworks(shape, file.steps)(pixel_positions(12, 20).float(), parts)
    expected = colours(pixel_positions(12, 20).float(), file.coefficients(), shape)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-3)  # float32, and a row that is 0
    found.sum().backward()
    assert all(part.grad is not None and part.grad.any() for part in parts)


def test_bytes_choose_the_network() -> None:
    def widths(most: int, channels: int = 3) -> list[int]:
        return [shape.width for shape in Candidates().shapes(AtMostBytes(most), channels)]

    assert [widths(most) for most in (100, 700, 1000, 2300)] == [[4], [4], [5], [6]]
    assert widths(2300, channels=1) == [6]
    assert [shape.width for shape in Candidates().shapes(AtLeastQuality(30.0), 3)] == [4, 5, 6]
    assert [shape.width for shape in Candidates(width=8).shapes(AtMostBytes(100), 3)] == [8]


@pytest.mark.parametrize("most", [90, 200])
def test_a_number_of_bytes_is_held_and_used(most: int) -> None:
    image = photo()
    shares: list[tuple[str, float]] = []
    found = encode(
        image, AtMostBytes(most), Budget(steps=20), candidates=SMALL, watch=lambda *told: shares.append(told)
    )
    content = found.coded.content
    assert 0.9 * most - 4 <= len(content) <= most
    assert found.psnr == psnr(image.numpy(), read_coded(content, "a.dfm").image().numpy())
    assert {what for what, _ in shares} == {"fitting", "fine-tuning"}
    tuning = [share for what, share in shares if what == "fine-tuning"]
    assert tuning == sorted(tuning)
    assert tuning[-1] == pytest.approx(1.0)


def test_more_bytes_are_no_worse_and_steps_repeat() -> None:
    image = photo()
    few, more, again = (encode(image, AtMostBytes(most), Budget(steps=20), candidates=SMALL) for most in (80, 400, 80))
    assert few.coded.content == again.coded.content
    assert few.psnr < more.psnr


def test_a_quality_is_held_in_few_bytes_or_the_best_is_stated() -> None:
    image, budget = photo(), Budget(steps=30)
    fitted = encode(image, AtMostBytes(2000), budget, candidates=SMALL).fitted.psnr[0]
    low, high = (encode(image, AtLeastQuality(q), budget, candidates=SMALL) for q in (fitted - 4.0, fitted - 0.5))
    assert fitted - 4.0 <= low.psnr
    assert fitted - 0.5 <= high.psnr
    assert len(low.coded.content) < len(high.coded.content)
    with pytest.raises(ValueError, match=rf"60 dB is not reached: the best of width 3 and depth 2 was {fitted:.2f} dB"):
        encode(image, AtLeastQuality(60.0), budget, candidates=SMALL)


def test_what_a_target_cannot_be() -> None:
    least = container.overhead(2, 0) + 2
    with pytest.raises(ValueError, match=f"{least - 1} bytes are fewer than the {least} of a file that holds nothing"):
        encode(photo(), AtMostBytes(least - 1), Budget(steps=1), candidates=SMALL)
    for given in (0.0, 120.0, float("nan")):
        with pytest.raises(ValueError, match=f"a PSNR of {given:g} dB: give a number between 0 and 100"):
            encode(photo(), AtLeastQuality(given), Budget(steps=1))
    with pytest.raises(ValueError, match="width 256: a file holds networks of width and depth from 1 to 255"):
        Candidates(width=256)
    with pytest.raises(ValueError, match=r"width 200.*choose a smaller width"):
        encode(photo(), AtMostBytes(100), Budget(steps=1), candidates=Candidates(width=200))


def test_a_file_of_a_network_that_memory_does_not_hold_is_refused() -> None:
    header = container.Header(
        kernel="full", residual=True, channels=3, pixels=(9, 9), width=60, depth=1, steps=(1, 1), scales=(0, 0)
    )
    with pytest.raises(ValueError, match=r"width 60 and depth 1 has layers of 2\^60 features, more than .* GiB"):
        read_coded(container.packed(header, b""), "a.dfm")


def test_rounders_judge_what_a_file_decodes_to() -> None:
    shape = Shape(width=3, depth=2, channels=3)
    matrices, image = coefficients_of(shape), photo()
    rounder = Rounder(image, shape, (1.0, 1.0, 1.0))
    assert rounder.codes(-6.0) == [136] * 3
    fine, coarse = rounder.at(matrices, -10.0), rounder.at(matrices, -2.0)
    assert coarse.num_bytes < fine.num_bytes
    assert rounder.quality(fine) == psnr(image.numpy(), read_coded(fine.content, "a.dfm").image().numpy())


def test_targets_hold_what_they_say_and_move_towards_it() -> None:
    file, shape = some_file(), Shape(width=4, depth=3, channels=3)
    coarse = rounded(coefficients_of(shape), shape, (148, 148, 148, 148), (12, 20))
    taken = len(file.content)
    assert AtMostBytes(taken).holds(file, 0.0)
    assert not AtMostBytes(taken - 1).holds(file, 0.0)
    assert AtMostBytes(taken).is_better(file, 31.0, (coarse, 30.0))
    assert not AtMostBytes(taken).is_better(coarse, 30.0, (file, 31.0))
    quality = AtLeastQuality(30.0)
    assert quality.holds(file, 30.0)
    assert not quality.holds(file, 29.99)
    assert quality.is_better(coarse, 30.0, (file, 31.0))
    assert not quality.is_better(file, 31.0, (coarse, 30.0))
    rounder = Rounder(photo(), shape, (1.0,) * 4)
    moves = [quality.following(rounder, file.coefficients(), -8.0, found) for found in (40.0, 30.6, 29.4, 20.0)]
    assert moves == pytest.approx([-7.5, -7.9, -8.1, -8.5])


def save(image: Tensor, path: Path) -> Path:
    array = image.numpy()
    Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)).save(path)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The only line on stderr of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def run(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def test_the_program_encodes_decodes_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, file, copy = save(photo(channels=1), tmp_path / "a.png"), tmp_path / "a.dfm", tmp_path / "copy.png"
    run("encode", source, file, "--bits-per-pixel", "4", *STEPS)
    assert file.stat().st_size <= 128
    told = capsys.readouterr().out
    assert f"a.dfm: {file.stat().st_size} bytes" in told
    run("decode", file, copy)
    assert read_image(copy).shape == (1, 16, 16)
    assert f"PSNR {psnr(photo(channels=1).numpy(), read_image(copy).numpy()):.2f} dB" in told
    run("decode", file, copy, "--size", "20", "10")
    assert read_image(copy).shape == (1, 10, 20)
    capsys.readouterr()
    run("info", file)
    told = capsys.readouterr().out
    assert "16 x 16 pixels, grey" in told
    assert "kernel full, width 3, depth 2: 88 coefficients" in told


def test_a_folder_at_once_leaves_out_what_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "images"
    source.mkdir()
    for name in ("b", "a"):
        save(photo(), source / f"{name}.png")
    (source / "notes.txt").write_text("no image")
    run("encode", source, tmp_path / "files", "--bytes", "90", *STEPS)
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["a.dfm", "b.dfm"]
    (tmp_path / "files" / "c.dfm").write_bytes(b"DFM")
    with pytest.raises(SystemExit):
        run("decode", tmp_path / "files", tmp_path / "copies")
    told = capsys.readouterr().err
    assert "c.dfm was cut short" in told
    assert "1 of 3 files were left out" in told
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == ["a.png", "b.png"]
    save(photo(), source / "a.bmp")
    line = refused(capsys, "encode", source, tmp_path / "more", "--bytes", "90")
    assert "holds several files called a, which would all become a.dfm" in line


def deep_png(path: Path) -> Path:
    """16 bits in three channels, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(4 * 6) for _ in range(4)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def test_images_that_a_file_does_not_hold_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alpha = tmp_path / "alpha.png"
    Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(alpha)
    grey = tmp_path / "grey.png"
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(grey)
    (tmp_path / "text.png").write_text("no image")
    for path, message in (
        (alpha, "alpha.png has alpha, which a file does not hold: put it on a background first"),
        (grey, "grey.png is of mode I;16, not 8 bits grey or colour: convert it first"),
        (deep_png(tmp_path / "deep.png"), "deep.png has 16 bits a channel: convert it to 8 first"),
        (tmp_path / "text.png", "text.png is not a readable image"),
        (tmp_path / "none.png", "No such file"),
    ):
        assert message in refused(capsys, "encode", path, tmp_path / "a.dfm", "--bytes", "90", *STEPS)
    assert not (tmp_path / "a.dfm").exists()


def test_fitting_takes_one_thread_unless_more_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    source, too_few = save(photo(), tmp_path / "a.png"), ["--bytes", "20"]
    for more in ([], ["--threads", "2"]):
        with pytest.raises(SystemExit):  # before it fits anything
            main(["encode", str(source), str(tmp_path / "a.dfm"), *too_few, *more])
    assert used == [1, 2]


def test_the_program_refuses_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, file = save(photo(), tmp_path / "a.png"), tmp_path / "a.dfm"
    for arguments, message in (
        (["--bytes", "20"], "20 bytes are fewer than the"),
        (["--bits-per-pixel", "0.1"], "3 bytes are fewer than the"),
        (["--bytes", "900", "--width", "100"], "choose a smaller width"),
        (["--psnr", "70", "--steps", "2", "--width", "3"], "70 dB is not reached: the best of width 3 and depth 6 was"),
        (["--bytes", "900", "--steps", "0"], "a budget is a positive number"),
        (["--bytes", "900", "--threads", "0"], "threads must be at least 1"),
    ):
        assert message in refused(capsys, "encode", source, file, *arguments)
    assert "does not end in .dfm" in refused(capsys, "encode", source, tmp_path / "b.png", "--bytes", "90")
    content = some_file().content
    file.write_bytes(content[:3] + b"\x09" + content[4:])
    assert "a.dfm is of format version 9" in refused(capsys, "decode", file, tmp_path / "b.png")
    file.write_bytes(content)
    assert "does not end in .png" in refused(capsys, "decode", file, tmp_path / "b.jpg")
    assert "--size 0 5" in refused(capsys, "decode", file, tmp_path / "b.png", "--size", "0", "5")
    assert "is no file of this codec" in refused(capsys, "info", source)
