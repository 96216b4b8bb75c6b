"""Every prior of `configs/prior` in the methods that draw by latents: built, trained, saved, read, and what a network loses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from generative.priors.base import ProductPrior
from generative.priors.gamma import Gamma
from generative.priors.normal import Normal
from generative.randomness import Stream
from launch.build import bare_trainer, build
from launch.checkpoint import AtomicCheckpointIO, load_method
from launch.compose import compose, group_options, plain
from lightning_modules.base import HasLatents

PRIORS = [name for name in group_options("prior") if name != "density_file"]  # which is given a file: its own test
METHODS = {
    "dcgan": ["prior@method.prior=", "method.generator.width=8", "method.critic.width=8"],
    "poly_inr": ["+prior@method.prior=", "method.generator.width=8", "method.critic.width=8"],
}


def built(method: str, prior: str | None, *overrides: str) -> tuple[Any, HasLatents]:
    choice, *small = METHODS[method]
    given = [] if prior is None else [f"{choice}{prior}"]
    settings = ["experiment=none", "datamodule=digits", f"method={method}", "datamodule.batch_size=8", "run_dir=run"]
    torch.manual_seed(0)
    datamodule, made = build(plain(compose("train", [*settings, *small, *given, *overrides])))
    assert isinstance(made, HasLatents)
    return datamodule, made


def trained(method: str, prior: str | None, *overrides: str) -> tuple[HasLatents, Any]:
    """After one step, and its trainer."""
    datamodule, made = built(method, prior, *overrides)
    trainer = bare_trainer(torch.device("cpu"), max_epochs=1, limit_train_batches=1, plugins=[AtomicCheckpointIO()])
    trainer.fit(made, datamodule)
    return made, trainer


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("method", METHODS)
def test_one_block_plugs_a_prior_in_that_is_drawn_from_and_travels_with_the_checkpoint(
    method: str, prior: str, tmp_path: Path
) -> None:
    made, trainer = trained(method, prior)
    assert type(made.prior).__name__.lower() == prior.replace("_", "")
    assert made.images_seen == 8
    dim = made.latent_dim
    own = made.prior.sample(3, 4, dim, Stream(0, "latents"))
    part = {"first_number": 3, "image": torch.zeros(4)}
    assert torch.equal(made.training_latents(part), own)
    assert torch.equal(own, Normal().sample(3, 4, dim, Stream(0, "latents"))) == (prior == "normal")
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    read, _ = load_method(tmp_path / "a.ckpt")
    assert isinstance(read, HasLatents)
    assert torch.equal(read.latents(0, 4, seed=1), made.latents(0, 4, seed=1))
    assert torch.equal(read.sample(0, 4, seed=1), made.eval().sample(0, 4, seed=1))


@pytest.mark.parametrize("method", METHODS)
def test_without_a_prior_latents_are_normal_numbers(method: str) -> None:
    _, made = built(method, None)
    assert torch.equal(made.latents(5, 3, seed=2, stream="a"), Stream(2, "a").normal(5, 3, made.latent_dim))


def test_latents_take_the_type_and_the_place_of_the_weights() -> None:
    _, made = built("dcgan", "cauchy")
    assert made.to(torch.bfloat16).latents(0, 2, seed=0).dtype == torch.bfloat16
    assert made.to("meta").latents(0, 2, seed=0).device.type == "meta"


class Noted(ProductPrior):
    """Uniform on [0, width]; the width is what it reads from a file, once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.read: dict[str, Tensor] = {}

    def state(self) -> dict[str, Tensor]:
        if not self.read:
            self.read = {"width": torch.from_numpy(np.load(self.path))}
        return self.read

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.read = state

    def cdf(self, values: Tensor) -> Tensor:
        return values / self.state()["width"]

    def log_pdf(self, values: Tensor) -> Tensor:
        return -self.state()["width"].log().expand(values.shape)

    def quantile(self, probabilities: Tensor) -> Tensor:
        return probabilities * self.state()["width"]


def test_what_a_prior_read_from_disk_is_in_the_checkpoint_and_is_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "width.npy"
    np.save(file, np.array(3.0))
    datamodule, made = built("dcgan", None)
    made.prior = Noted(str(file))
    trainer = bare_trainer(torch.device("cpu"), max_epochs=1, limit_train_batches=1, plugins=[AtomicCheckpointIO()])
    trainer.fit(made, datamodule)
    trainer.save_checkpoint("a.ckpt")
    content = torch.load("a.ckpt", weights_only=True)
    assert content["prior"] == {"width": torch.tensor(3.0)}
    file.unlink()

    def built_again(config: dict[str, Any]) -> tuple[Any, HasLatents]:
        datamodule, again = build(config)
        assert isinstance(again, HasLatents)
        again.prior = Noted(str(file))
        return datamodule, again

    monkeypatch.setattr("launch.checkpoint.build", built_again)
    read, _ = load_method("a.ckpt")
    assert isinstance(read, HasLatents)
    assert torch.equal(read.latents(0, 4, seed=1), made.latents(0, 4, seed=1))
    # So does a run that goes on from it, whatever the file holds by then.
    np.save(file, np.array(5.0))
    datamodule, resumed = built_again(content["config"])
    trainer = bare_trainer(torch.device("cpu"), max_epochs=2, limit_train_batches=1, plugins=[AtomicCheckpointIO()])
    trainer.fit(resumed, datamodule, ckpt_path="a.ckpt")
    assert resumed.images_seen == 16
    assert torch.equal(resumed.latents(0, 4, seed=1), made.latents(0, 4, seed=1))


def test_a_prior_in_a_checkpoint_that_the_method_has_not_is_refused() -> None:
    _, trainer = trained("dcgan", "gamma")
    trainer.save_checkpoint("a.ckpt")
    content = torch.load("a.ckpt", weights_only=True)
    assert "prior" not in content
    torch.save(content | {"prior": {"density": torch.ones(4)}}, "b.ckpt")
    with pytest.raises(
        ValueError, match=r"b\.ckpt: Gamma reads nothing from disk, so a checkpoint cannot hold density"
    ):
        load_method("b.ckpt")
    torch.save(content | {"prior": {"density": "text"}}, "b.ckpt")
    with pytest.raises(ValueError, match=r"b\.ckpt holds .* a prior that is no tensors by theirs"):
        load_method("b.ckpt")


NORMALIZES = "the network divides every latent by its norm, which leaves the prior"
REMEDY = "+method.generator.normalize_latents=false keeps the norms"


@pytest.mark.parametrize(
    ("method", "prior", "overrides", "expected"),
    [
        ("poly_inr", "gamma", [], f"warning: {NORMALIZES} Gamma equal to the normal prior: {REMEDY}\n"),
        ("poly_inr", "uniform", [], f"warning: {NORMALIZES} Uniform without its norms: {REMEDY}\n"),
        ("poly_inr", "gamma", ["+method.generator.normalize_latents=false"], ""),
        ("poly_inr", "normal", [], ""),
        ("poly_inr", None, [], ""),
        ("dcgan", "gamma", [], ""),
    ],
)
def test_a_run_says_once_where_the_network_throws_its_prior_away(
    method: str, prior: str | None, overrides: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = trained(method, prior, *overrides)
    assert "".join(line for line in capsys.readouterr().err.splitlines(True) if "warning:" in line) == expected
    made.on_fit_start()  # of a run that goes on
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("is_first", "times"), [(True, 1), (False, 0)])
def test_of_several_ranks_the_first_says_it(
    is_first: bool, times: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, made = built("poly_inr", "gamma")
    made.trainer = bare_trainer(torch.device("cpu"))
    monkeypatch.setattr(Trainer, "is_global_zero", is_first)
    made.on_fit_start()
    assert capsys.readouterr().err.count("warning:") == times


def test_an_isotropic_prior_is_the_normal_one_to_a_network_that_normalizes() -> None:
    """The claim of the warning: the same directions, and images that hang on nothing else."""
    _, made = built("poly_inr", "gamma", "method.conditional=false")
    normal = Normal().sample(0, 4, made.latent_dim, Stream(1, "evaluation"))
    assert isinstance(made.prior, Gamma)
    latents = made.latents(0, 4, seed=1)
    torch.testing.assert_close(torch.cosine_similarity(latents, normal), torch.ones(4))
    torch.testing.assert_close(made.decode(latents), made.decode(normal))
    _, keen = built("poly_inr", "gamma", "method.conditional=false", "+method.generator.normalize_latents=false")
    assert not torch.allclose(keen.decode(latents), keen.decode(normal))
