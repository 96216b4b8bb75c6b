"""The named evaluation of images: known answers, real digits, one pass, the cache, bad input."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio

from metrics.evaluation import (
    Instruments,
    Work,
    evaluate,
    nearest_originals,
    negative_distance_note,
    real_summary,
    small_sample_note,
)
from metrics.features import Extractor, Features, Pixels, make_extractor
from metrics.functional import Gaussian, frechet_distance, manifolds, symmetric_root
from metrics.image_sets import ImagesInMemory, RandomPart, random_part
from metrics.judge import PixelJudge
from metrics.quality import COMPARISONS, GenerationQuality, ReconstructionQuality, check_metrics

PIXELS = Pixels((1, 8, 8))


class Projection(Extractor):
    """A small network with every output, that counts the images it is shown."""

    name, resize, weights, batch_size = "projection", "none", "abc", 32

    def __init__(self) -> None:
        super().__init__()
        self.provides = {"features": 12, "spatial": 20, "logits": 5}
        generator = torch.Generator().manual_seed(0)
        self.matrix = nn.Buffer(torch.randn(64, 37, generator=generator) / 8)
        self.num_shown = 0

    def extract(self, images: Tensor) -> Features:
        self.num_shown += len(images)
        features, spatial, logits = (images.flatten(1).float() / 16 @ self.matrix).split([12, 20, 5], dim=1)
        return {"features": features.relu(), "spatial": spatial.relu(), "logits": logits}


def digits(part: slice = slice(None)) -> ImagesInMemory:
    found = load_digits()
    images = torch.from_numpy(found.images / 16 * 255).round().to(torch.uint8)[:, None]
    return ImagesInMemory("digits", images[part], torch.from_numpy(found.target)[part])


def test_a_gaussian_passes_on_distance_and_fails_on_precision() -> None:
    """Why a Frechet distance never stands alone, on the real digits."""
    rows = torch.from_numpy(load_digits().data / 8 - 1)
    fitted = Gaussian.of(rows)
    normal = torch.randn(1797, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = fitted.mean + normal @ symmetric_root(fitted.full_covariance())
    assert frechet_distance(fitted, Gaussian.of(noise)) < 1.0
    assert manifolds(rows, noise).precision < 0.3
    memory = rows[torch.arange(1797) % 100]
    assert manifolds(rows, memory).recall < 0.1


def test_real_digits_against_real_digits() -> None:
    a, b = digits(slice(None, None, 2)), digits(slice(1, None, 2))
    assert b.known_labels is not None
    judge = PixelJudge(b.tensor, b.known_labels, data="b")
    names = ["fd", "precision", "recall", "accuracy", "tstr_accuracy"]
    values = evaluate(a, b, Instruments(extractor=PIXELS, metrics=names, judge=judge, test=a))
    assert set(values) == {*names, "judge_accuracy"}
    assert 0.2 < values["fd"] < 0.35
    assert min(value for name, value in values.items() if name != "fd") > 0.85
    more = evaluate(a, b, Instruments(extractor=PIXELS, metrics=["kid", "coverage", "authenticity"]))
    assert abs(more["kid"]) < 4 * more["kid_error"] < 0.05
    assert more["coverage"] > 0.85
    assert more["authenticity"] > 0.5
    shifted = ImagesInMemory("wrong labels", a.tensor, (a.known_labels + 1) % 10)
    wrong = evaluate(
        shifted, b, Instruments(extractor=PIXELS, metrics=["accuracy", "tstr_accuracy"], judge=judge, test=a)
    )
    assert max(wrong["accuracy"], wrong["tstr_accuracy"]) < 0.1


def test_known_answers_of_sets_of_images() -> None:
    """Identical sets, mode collapse, a dropped mode, disjoint supports, memorised training images."""
    images, labels = digits().tensor, digits().known_labels
    assert labels is not None
    train, fresh = ImagesInMemory("train", images[::2]), ImagesInMemory("fresh", images[1::2])
    names = ["fd", "kid", "precision", "recall", "coverage", "authenticity"]

    def against(fake: Tensor) -> dict[str, float]:
        return evaluate(ImagesInMemory("fake", fake), train, Instruments(extractor=PIXELS, metrics=names))

    same, other = against(train.tensor), against(fresh.tensor)
    assert same["fd"] == pytest.approx(0, abs=1e-6)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    assert same["authenticity"] == 0, "every image is a copy of a training image"
    assert other["fd"] > 0.2
    assert other["authenticity"] > 0.5
    collapsed = against(images[:1].repeat(300, 1, 1, 1))
    assert collapsed["fd"] > 5
    assert collapsed["kid"] > 10 * abs(other["kid"])
    assert collapsed["recall"] < 0.01
    assert collapsed["coverage"] < 0.05
    dropped = against(images[1::2][labels[1::2] < 5])
    assert dropped["precision"] > 0.9
    assert 0.4 < dropped["recall"] < 0.7
    assert 1 < dropped["fd"] < collapsed["fd"]
    inverted = against(255 - fresh.tensor)
    assert (inverted["precision"], inverted["recall"]) == (0, 0)
    assert inverted["fd"] > collapsed["fd"]


def test_all_metrics_come_from_one_pass() -> None:
    extractor = Projection()
    a, b = digits(slice(0, 300)), digits(slice(300, 700))
    values = evaluate(a, b, Instruments(extractor=extractor, metrics=list(COMPARISONS)))
    assert extractor.num_shown == 700
    assert set(COMPARISONS) <= values.keys()
    assert all(math.isfinite(value) for value in values.values())
    assert 1 < values["is"] < 5
    alone = {name: evaluate(a, b, Instruments(extractor=extractor, metrics=[name]))[name] for name in COMPARISONS}
    assert alone == {name: values[name] for name in COMPARISONS}, "a value does not depend on what else is asked for"


def test_the_cache_spares_the_second_pass_and_knows_other_images(tmp_path: Path) -> None:
    extractor, work = Projection(), Work(cache=tmp_path)
    a, b = digits(slice(0, 300)), digits(slice(300, 700))

    def shown(real: ImagesInMemory, metrics: list[str]) -> tuple[int, dict[str, float]]:
        before = extractor.num_shown
        values = evaluate(a, real, Instruments(extractor=extractor, metrics=metrics, work=work))
        return extractor.num_shown - before, values

    first, second = shown(b, ["fd"]), shown(b, ["fd"])
    assert (first[0], second[0]) == (700, 300)
    assert first[1] == second[1]
    assert shown(b, ["fd", "recall"])[0] == 700, "the file holds no rows yet"
    assert shown(b, ["fd", "recall"])[0] == 300
    assert shown(b, ["sfd"])[0] == 700
    assert shown(b, ["fd", "recall", "sfd"])[0] == 300, "a file gains what was asked for later"
    changed = b.tensor.clone()
    changed[0, 0, 0, 0] += 1
    assert shown(ImagesInMemory("digits", changed), ["fd"])[0] == 700, "another image, another hash"
    evaluate(a, b, Instruments(extractor=PIXELS, metrics=["fd"], work=Work(cache=tmp_path / "none")))
    assert not (tmp_path / "none").exists(), "raw pixels are not kept"


def test_saved_statistics_stand_for_the_images() -> None:
    a, b = digits(slice(0, 300)), digits(slice(300, 700))
    summary = real_summary(b, PIXELS, metrics=["fd"], work=Work())
    assert evaluate(a, summary, Instruments(extractor=PIXELS, metrics=["fd"])) == evaluate(
        a, b, Instruments(extractor=PIXELS, metrics=["fd"])
    )
    with pytest.raises(ValueError, match="do not hold what precision need: they have statistics of features"):
        evaluate(a, summary, Instruments(extractor=PIXELS, metrics=["fd", "precision"]))


def test_the_global_random_state_stays() -> None:
    import random

    import numpy as np

    torch.manual_seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - the global one
    evaluate(
        digits(slice(0, 300)), digits(slice(300, 700)), Instruments(extractor=Projection(), metrics=list(COMPARISONS))
    )
    RandomPart(digits(), 20).images(0, 20)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()


def test_a_metric_adds_nothing_to_a_checkpoint() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.quality = GenerationQuality(Projection(), metrics=["fd", "kid"])

    holder = Holder()
    for real in (True, False):
        images = digits(slice(0, 20)).tensor
        holder.quality.update(images, real=real, numbers=torch.arange(20))
    assert set(holder.state_dict()) == {"layer.weight", "layer.bias"}
    assert holder.quality.compute()["fd"] == pytest.approx(0, abs=1e-6)
    holder.quality.reset()
    with pytest.raises(ValueError, match="at least 2 images"), warnings.catch_warnings(action="ignore"):
        holder.quality.compute()


def test_the_metric_in_ones_own_loop() -> None:
    """Later images count, a given reference stays over a reset, copies and moves are whole."""
    images = digits(slice(0, 60)).tensor
    quality = GenerationQuality(Projection(), metrics=["fd", "recall"])
    quality.update(images[:20], real=True, numbers=torch.arange(20))
    quality.update(images[40:], real=False, numbers=torch.arange(20))
    first = quality.compute()
    quality.update(images[20:40], real=True, numbers=torch.arange(20, 40))
    second = quality.compute()
    assert second["fd"] != first["fd"]
    summary = quality.real_summary()
    assert summary is not None
    assert summary.num_images == 40
    again = copy.deepcopy(quality)
    assert pickle.loads(pickle.dumps(again)).compute() == second
    again.reset()
    again.use_reference(summary)
    for _ in range(2):
        again.update(images[40:], real=False, numbers=torch.arange(20))
        assert again.compute() == second
        again.reset()
    with pytest.raises(NotImplementedError, match="call update"):
        again(images, real=True, numbers=torch.arange(60))
    moved = again.to("meta")
    assert {metric.device.type for metric in (*moved.real.metrics(), *moved.fake.metrics())} == {"meta"}
    assert moved.held[0].matrix.device.type == "meta"


def test_reconstruction() -> None:
    original = digits(slice(0, 40))
    noise = torch.randint(-20, 21, original.tensor.shape, generator=torch.Generator().manual_seed(0))
    copy = ImagesInMemory("copy", (original.tensor.int() + noise).clamp(0, 255).to(torch.uint8))
    names = ["psnr", "mae"]
    values = evaluate(copy, original, Instruments(extractor=PIXELS, metrics=names))
    x, y = copy.tensor.float() / 255, original.tensor.float() / 255
    each = [float(peak_signal_noise_ratio(x[i], y[i], data_range=1.0)) for i in range(40)]
    assert values["psnr"] == pytest.approx(sum(each) / 40, rel=1e-6)
    assert values["mae"] == pytest.approx(float((x - y).abs().mean()), rel=1e-6)
    assert evaluate(original, original, Instruments(extractor=PIXELS, metrics=names)) == {"psnr": 100.0, "mae": 0.0}
    large = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    near, far = ReconstructionQuality(metrics=["ssim"]), ReconstructionQuality(metrics=["ssim"])
    near.update(large, large)
    far.update(large, large.flip(0))
    assert near.compute()["ssim"] == pytest.approx(1)
    assert far.compute()["ssim"] < 0.3
    lite = make_extractor("efficientnet_lite0", image_shape=(3, 16, 16))
    deep = ReconstructionQuality(metrics=["feature_distance"], stages=lite.stages)
    deep.update(large[:2], large[2:])
    assert deep.compute()["feature_distance"] > 0.1
    with pytest.raises(ValueError, match="ssim looks at windows of 11 pixels: images of 8 x 8 are too small"):
        evaluate(copy, original, Instruments(extractor=PIXELS, metrics=["ssim"]))
    with pytest.raises(ValueError, match="compare pairs: copy has 40 images and digits 30"):
        evaluate(copy, digits(slice(0, 30)), Instruments(extractor=PIXELS, metrics=["psnr"]))


def test_a_picture_of_the_nearest_images() -> None:
    part = RandomPart(digits(), 5)
    sheet = nearest_originals(part, digits(), extractor=PIXELS, work=Work())
    assert sheet.size == (5 * 66 + 2, 4 * 66 + 2)
    tile = sheet.crop((2, 2, 66, 66))
    assert tile.tobytes() == sheet.crop((2, 68, 66, 132)).tobytes(), "the nearest image of a copy is its original"


def test_few_images() -> None:
    """One image is refused, ten give a kernel distance with its error and a note; nothing crashes."""
    real = digits(slice(100, 400))
    one = ImagesInMemory("one", real.tensor[:1])
    for sides in ((one, real), (real, one)):
        with pytest.raises(ValueError, match="at least 2 images on each side: one has 1"):
            evaluate(*sides, Instruments(extractor=PIXELS, metrics=["fd"]))
    with pytest.raises(ValueError, match="digits has 5 images, which cannot be cut into 10 splits"):
        evaluate(digits(slice(0, 5)), None, Instruments(extractor=Projection(), metrics=["is"]))
    values = evaluate(
        digits(slice(0, 10)), real, Instruments(extractor=PIXELS, metrics=["fd", "kid", "precision", "recall"])
    )
    assert values["kid_error"] > 0
    assert all(math.isfinite(value) for value in values.values())
    note = small_sample_note(10, PIXELS, ["fd", "kid"])
    assert note is not None
    assert "fd of 10 images in 64 features is too large by its bias" in note
    assert small_sample_note(100, PIXELS, ["fd"]) is None
    same = evaluate(digits(slice(0, 6)), digits(slice(0, 6)), Instruments(extractor=PIXELS, metrics=["fd", "kid"]))
    assert same["kid"] < 0 <= same["fd"]
    assert "of a set and itself, or copies of its images, it always is" in (negative_distance_note(same) or "")
    assert negative_distance_note({"fd": 1.0, "kid": 0.1}) is None
    two = evaluate(digits(slice(0, 2)), real, Instruments(extractor=PIXELS, metrics=["kid"]))
    assert set(two) == {"kid"}, "two images have no spread"


def test_a_table_that_no_machine_holds_is_refused() -> None:
    """Before a single image is read; as many images as features need no table."""

    class Many(ImagesInMemory):
        def __len__(self) -> int:
            return 200_000

    many, few = (kind("photos", torch.zeros(4, 3, 256, 256, dtype=torch.uint8)) for kind in (Many, ImagesInMemory))
    message = r"fd of 200000 images in 196608 features needs a table of 309 GB \(photos\): choose a network, such as"
    for sides in ((many, few), (few, many)):
        with pytest.raises(ValueError, match=message):
            evaluate(*sides, Instruments(extractor=Pixels(few.shape), metrics=["kid", "fd"]))


def test_bad_input() -> None:
    images = ImagesInMemory("black", torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"unknown metric 'precison' \(did you mean 'precision'\?\)"):
        check_metrics(["precison"])
    colour = ImagesInMemory("photos", torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="black is grey and photos in colour"):
        evaluate(colour, images, Instruments(extractor=PIXELS, metrics=["fd"]))
    with pytest.raises(ValueError, match="wide is 1 x 9 x 9 and black 1 x 8 x 8: bring them to one size"):
        evaluate(
            ImagesInMemory("wide", torch.zeros(5, 1, 9, 9, dtype=torch.uint8)),
            images,
            Instruments(extractor=PIXELS, metrics=["fd"]),
        )
    with pytest.raises(ValueError, match="need labels"):
        evaluate(images, images, Instruments(extractor=PIXELS, metrics=["accuracy"]))
    labelled = digits(slice(0, 40))
    assert labelled.known_labels is not None
    few = PixelJudge(labelled.tensor, labelled.known_labels % 3, data="b")
    with pytest.raises(ValueError, match="digits has labels up to 9, and the judge knows 3 classes"):
        evaluate(labelled, labelled, Instruments(extractor=PIXELS, metrics=["accuracy"], judge=few, test=labelled))
    with pytest.raises(ValueError, match="give a reference"):
        evaluate(images, None, Instruments(extractor=PIXELS, metrics=["fd"]))
    floats = torch.zeros(5, 1, 8, 8)
    floats[3, 0, 2, 2] = math.nan
    with pytest.raises(ValueError, match="drawn: image number 3 has the value nan, and 1 images"):
        ImagesInMemory("drawn", floats)
    floats[3, 0, 2, 2], floats[4] = 0, 255
    with pytest.raises(
        ValueError, match=r"image number 4 has the value 255, and 1 images have values outside \[-1, 1\]"
    ):
        ImagesInMemory("drawn", floats)
    with pytest.raises(ValueError, match="too many for the judge of raw pixels"):
        PixelJudge(torch.zeros(3, 3, 64, 64, dtype=torch.uint8), torch.arange(3), data="b")
    with pytest.raises(ValueError, match="black has 5 images: 9 of them cannot be chosen"):
        random_part(images, 9)
    assert random_part(images, 5) is images
    with pytest.raises(ValueError, match=r"one class from 0 for each of 5 images, got shape \(5, 1\)"):
        ImagesInMemory("cifar", images.tensor, torch.zeros(5, 1, dtype=torch.int64))
