"""A checkpoint is data: whatever calls its configuration holds, wherever they stand, nothing of them runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generative.plain_data import check_plain
from launch.checkpoint import load_method, read_checkpoint
from launch.compose import compose
from launch.errors import one_line_errors

TOUCH = ["touch owned"]
GENERATOR = "lightning_modules.poly_inr.networks.Generator"
CALLS: dict[str, dict[str, Any]] = {
    "a command": {"_target_": "os.system", "_args_": TOUCH},
    "through a module of ours": {"_target_": "datamodules.preparation.os.system", "_args_": TOUCH},
    "a function of ours": {"_target_": "records.run_files.replace_text", "path": "owned", "text": ""},
    "a trusted function": {"_target_": "datamodules.preparation.prepare", "source": ".", "folder": "owned"},
    "an argument of ours": {
        "_target_": GENERATOR, "_partial_": True, "width": {"_target_": "os.system", "_args_": TOUCH}
    },
    "later": {"_target_": "os.system", "_partial_": True, "command": TOUCH[0]},
}  # fmt: skip
SHAPES: dict[str, Callable[[Any], Any]] = {
    "dict": lambda call: call,
    "list": lambda call: [0.99, call],
    "tuple": lambda call: (0.99, call),
    "nested tuple": lambda call: [{"a": ((call,),)}],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a small run of a method, trained once."""
    from tests.conftest import SMALL_RUN
    from train import train

    made: dict[str, Path] = {}

    def run(method: str) -> Path:
        if method not in made:
            folder = tmp_path_factory.mktemp(method) / "run"
            train(compose("train", [*SMALL_RUN, f"method={method}", "max_kimg=0.032", f"run_dir={folder}"]))
            made[method] = folder / "checkpoints" / "last.ckpt"
        return made[method]

    return run


def changed(checkpoint: Path, change: Callable[[dict[str, Any]], None], path: Path = Path("hostile.ckpt")) -> Path:
    """A copy of ``checkpoint`` with another configuration."""
    content = torch.load(checkpoint, weights_only=True)
    change(content["config"])
    torch.save(content, path)
    return path.absolute()


def put(value: Any, *keys: str) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = value

    return change


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_runs_in_any_shape_at_any_place(call: str, shape: str, runs: Callable[[str], Path]) -> None:
    hostile = SHAPES[shape](CALLS[call])
    for place in (("method", "loss"), ("method", "critic", "width"), ("datamodule", "batch_size"), ("method",)):
        path = changed(runs("poly_inr"), put(hostile, *place))
        with pytest.raises(ValueError, match=r"hostile\.ckpt"):
            load_method(path)
    assert sorted(file.name for file in Path().iterdir()) == ["hostile.ckpt"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("method", "critic", "_target_"), "lightning_modules.base.torch.os.system", "no class of this project: refused"),
        (("method", "critic", "_target_"), "torch.optim.swa_utils.update_bn", "no class of this project: refused"),
        (("method", "critic", "_target_"), ["os.system"], r"calls \['os.system'\], which is no class of this project"),
        (("method", "critic", "_target_"), "torch.optim.Adam", "which is no Module: refused"),
        (("method", "critic_optimizer", "_target_"), "torch.optim.lr_scheduler.LambdaLR", "which is no Optimizer"),
        (("method", "critic", "_partial_"), False, "'generative.networks.critic.ConvCritic', where a value stands"),
        (("method", "critic", "_args_"), TOUCH, "ConvCritic has no argument '_args_'"),
        (("method", "critic", "_recursive_"), False, "ConvCritic has no argument '_recursive_'"),
        (("method", "_convert_"), "object", "PolyINR has no argument '_convert_'"),
        (("method", "critic"), "os.system", "method.critic must be of type a constructor call"),
        (("method", "_target_"), "datamodules.digits.Digits", "which is no Method: refused"),
        (("datamodule", "_target_"), GENERATOR, "which is no ImageDataModule: refused"),
        (("method", "loss"), "${oc.env:HOME}", "holds an interpolation"),
        (("method", "critic", "width"), torch.Size([1]), r"holds a Size at method\.critic\.width"),
        (("method", "critic", 3), 1, r"holds a key of type int at method\.critic"),
        (("seed",), "0", "seed must be of type int, got '0'"),
        (("callbacks",), ({"_target_": "os.system"},), "holds a tuple at callbacks"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(
    place: tuple[Any, ...], value: Any, message: str, runs: Callable[[str], Path]
) -> None:
    path = changed(runs("poly_inr"), put(value, *place))
    with pytest.raises(ValueError, match=message):
        load_method(path)


def test_data_without_end_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    bomb: list[Any] = []
    for _ in range(30):
        bomb = [bomb] * 10
    for content in (endless, bomb):
        with pytest.raises(ValueError, match="the file is nested more than 32 deep or holds over 100000 values"):
            check_plain(content, "the file")
    check_plain({"a": [1, 0.5, True, None, "text", {}]}, "the file")


def test_weights_and_clock_are_what_they_should_be(runs: Callable[[str], Path]) -> None:
    for change, message in (
        ({"state_dict": [1]}, "holds no weights by their names"),
        ({"state_dict": {0: torch.ones(1)}}, "holds no weights by their names"),
        ({"images_seen": "many"}, "has seen 'many' images"),
        ({"config": {}}, "the configuration has no method"),
        ({"config": []}, "the configuration is a list"),
    ):
        torch.save(torch.load(runs("poly_inr"), weights_only=True) | change, "other.ckpt")
        with pytest.raises(ValueError, match=message):
            read_checkpoint(Path("other.ckpt"))


ROUTES: dict[str, tuple[str, str, list[str]]] = {  # the hostile file's method, the program, its settings
    "evaluate.py": ("poly_inr", "evaluate", ["checkpoint={hostile}"]),
    "generate.py": ("poly_inr", "generate", ["checkpoint={hostile}", "task=grid"]),
    "judge": ("classifier", "evaluate", ["checkpoint={poly_inr}", "judge=classifier:{hostile}", "metrics=[accuracy]"]),
    "extractor": ("classifier", "evaluate", ["images=digits", "reference=digits", "extractor=classifier:{hostile}"]),
    "baselines": ("classifier", "generate", ["checkpoint={dgm}", "task=shape", "+options.baselines=[{hostile}]"]),
    "resume": ("poly_inr", "train", ["resume={hostile}", "run_dir=new", "max_kimg=0.048"]),
    "weights": ("dgm", "train", ["method=dgm", "+method.weights={hostile}", "run_dir=new", "max_kimg=0.048"]),
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_every_way_to_read_a_checkpoint_ends_with_a_sentence(
    route: str, runs: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: the exit code is that of one_line_errors."""
    import evaluate
    import generate
    import train
    from tests.conftest import SMALL_RUN

    method, program, settings = ROUTES[route]
    paths = {name: runs(name) for name in ("poly_inr", "dgm", "classifier") if f"{{{name}}}" in " ".join(settings)}
    start = {"evaluate": evaluate.evaluate, "generate": generate.generate, "train": train.train}[program]
    place = ("method", "backbone", "channels") if method == "dgm" else ("method", "half_life_images")
    for shape in SHAPES.values():
        hostile = changed(runs(method), put(shape(CALLS["a command"]), *place))
        arguments = [setting.format(hostile=hostile, **paths) for setting in settings]
        config = compose(program, [*(SMALL_RUN if program == "train" else ()), *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped, one_line_errors():
            start(config)
        assert stopped.value.code == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "hostile.ckpt" in line
        assert not Path("owned").exists()
        assert not Path("new").exists()
