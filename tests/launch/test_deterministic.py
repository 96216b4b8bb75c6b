"""deterministic=true reaches PyTorch, every method trains under it, and what has no such form is one sentence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from launch.compose import group_options
from launch.errors import one_line_errors
from lightning_modules.segmentation import pixel_cross_entropy
from tests.test_train import Run


@pytest.fixture(autouse=True)
def _off_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("method", group_options("method"))
def test_every_method_trains_deterministically(method: str, small_run: Run) -> None:
    small_run(f"method={method}", "deterministic=true", "max_kimg=0.032")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_a_run_without_it_switches_it_off(small_run: Run) -> None:
    torch.use_deterministic_algorithms(True)
    small_run("method=classifier", "max_kimg=0.016")
    assert not torch.are_deterministic_algorithms_enabled()


def test_another_word_is_refused(small_run: Run) -> None:
    with pytest.raises(ValueError, match="deterministic must be true, false or warn, got 'yes_please'"):
        small_run("deterministic=yes_please")


def test_an_operation_without_a_deterministic_form_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """PyTorch's words, which it raises where a GPU meets such an operation."""
    said = (
        "nll_loss2d_forward_out_cuda_template does not have a deterministic implementation, but you set "
        "'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation."
    )
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise RuntimeError(said)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: deterministic=true: nll_loss2d_forward_out_cuda_template has no deterministic form")
    assert "deterministic=warn" in line


def test_the_loss_of_pixels_is_that_of_rows() -> None:
    """Which a GPU has a deterministic form of; pixels of no class count in neither."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    masks = torch.randint(0, 4, (2, 5, 3), generator=generator)
    masks[0, 2] = 255
    found = []
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        loss = pixel_cross_entropy(logits, masks)
        found.append((loss, *torch.autograd.grad(loss, logits)))
    for over_pixels, over_rows in zip(*found, strict=True):
        torch.testing.assert_close(over_rows, over_pixels, rtol=1e-12, atol=1e-15)
    log_shares = logits.detach().log_softmax(dim=1).movedim(1, -1).flatten(0, 2)
    counted = masks.flatten() != 255
    expected = -log_shares[counted, masks.flatten()[counted]].sum()
    torch.testing.assert_close(found[1][0].detach(), expected)
