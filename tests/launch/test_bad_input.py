"""Bad input: one clear line on stderr, exit code 2, nothing half-written."""

from __future__ import annotations

import pickle
import re
import resource
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from evaluate import evaluate
from generate import generate
from launch.checkpoint import AtomicCheckpointIO, load_method, read_checkpoint
from launch.compose import check_grammar, check_overrides, compose, gather_options, plain
from launch.errors import failure_kind, one_line_errors
from launch.generate.tasks import check_options, find_task
from launch.train.run_folder import check_settings

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from launch.compose import compose
    from tests.conftest import SMALL_RUN
    from train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(compose("train", [*SMALL_RUN, "max_kimg=0.032", f"run_dir={folder}"]))
    return folder / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["max_kimgs=3"], "there is no setting 'max_kimgs'; did you mean 'max_kimg'?"),
        (["method.r1_gama=3"], "there is no setting 'method.r1_gama'; did you mean 'method.r1_gamma'?"),
        (["method.critic.widht=3"], "there is no setting 'method.critic.widht'; did you mean 'method.critic.width'?"),
        (["experiment=poly_inr/digit"], "there is no experiment 'poly_inr/digit'; did you mean 'poly_inr/digits'?"),
        (["method=polyinr"], "there is no method 'polyinr'; did you mean 'poly_inr'?"),
        (["datamodule=digit"], "there is no datamodule 'digit'; did you mean 'digits'?"),
        (["critic=dgm"], "'critic' is chosen by critic@method.critic=<its file>"),
        (["experiment=dcgan/digits", "loss=hinge"], "'loss' is chosen by +loss=<its file>"),
        (["trainr=gpu"], "there is no setting 'trainr'; did you mean 'trainer'?"),
        (
            ["method.average_ramp_up=0"],
            "'method.average_ramp_up' is not in the configuration but its constructor has it: "
            "write +method.average_ramp_up=<value>",
        ),
        (["max_kimg"], "'max_kimg' is not an override: write key=value"),
    ],
)
def test_misspelt_overrides_name_the_nearest(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared as a whole
        check_overrides("train", arguments)
    assert str(caught.value) == message


def test_a_setting_without_a_default_is_named_with_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors():
        plain(compose("train", ["experiment=dcgan/digits", "prior@method.prior=density_file", "run_dir=x"]))
    assert caught.value.code == 2
    assert "error: method.prior.path has no default: give method.prior.path=<value> (" in capsys.readouterr().err


def test_valid_overrides_pass() -> None:
    check_overrides("train", ["experiment=none", "method.critic.width=8", "trainer=ddp", "logger=wandb", "seed=3"])
    check_overrides("train", ["--help"])


ODD_NAMES = [
    "My Photos (2024)", "新加卷2", "100%_done", "a,b", "it's", "x=1", "[set]", "a#b", "a+b@c", "Žluťoučký kůň", "2024", "1e5",
    "true", "~/x", "a{b}", "a&b;c!d", "it's a \"set\"", "back\\slash's", "ends\\", " leads", "$HOME", "choice(a)",
]  # fmt: skip


def line_that_works(argument: str) -> str:
    """``argument`` itself, or what the message tells to write, as a shell hands it over."""
    try:
        check_grammar(argument)
    except ValueError as error:
        (argument,) = shlex.split(str(error).partition(", write ")[2])
        check_grammar(argument)
    return argument


@pytest.mark.parametrize("folder", ["", "/tmp/"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_line_for_an_odd_path_works(name: str, folder: str) -> None:
    for key in ("images", "output", "run_dir"):
        argument = line_that_works(f"{key}={folder}{name}")
        override = OverridesParser.create().parse_override(argument)
        assert override.key_or_group == key
        assert override.value() == f"{folder}{name}".strip()


def test_what_means_something_to_hydra_is_said() -> None:
    with pytest.raises(ValueError, match=r"Hydra: if it is one text, write \"images='/tmp/a b \(1\)'\"$"):
        check_overrides("evaluate", ["images=/tmp/a b (1)"])
    with pytest.raises(ValueError, match=r"if it is a list of texts, write \"compare=\['a b#','c'\]\"$"):
        check_overrides("evaluate", ["compare=[a b#,c]"])
    with pytest.raises(ValueError, match=r"the value of images are several values, which only train\.py -m takes"):
        check_overrides("evaluate", ["images=a,b"])
    with pytest.raises(ValueError, match=r"the value of images holds characters .* write \"images='a b\(c'\"$"):
        check_overrides("generate", gather_options("generate", ["task=invert", "images=a b(c"]))


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("trainer.max_epochs=3", "max_kimg="),
        ("+trainer.max_steps=100", "max_kimg="),
        ("+trainer.limit_train_batches=0.1", "max_kimg="),
        ("+trainer.accumulate_grad_batches=4", "+method.accumulate="),
        ("+trainer.gradient_clip_val=1.0", "+method.clip_norm="),
        ("trainer.max_steps=100", "max_kimg="),
        ("max_epochs=3", "max_kimg="),
        ("gradient_clip_val=3", "+method.clip_norm="),
    ],
)
def test_budgets_of_lightning_are_refused_by_name(override: str, remedy: str) -> None:
    key = override.split("=")[0].lstrip("+")

    def start() -> None:
        check_overrides("train", [override])
        check_settings(compose("train", [override]))

    with pytest.raises(ValueError, match=re.escape(f"{key}' is Lightning's and not taken here: ")) as caught:
        start()
    assert remedy in str(caught.value)


def failed(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Exit code 2 and, after the word that it starts, one line on stderr that says ``message``."""
    assert done.returncode == 2, done.stderr
    first, *lines = done.stderr.strip().splitlines()
    assert first.endswith(".py: starting")
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_train_from_the_command_line(program: Program, tmp_path: Path) -> None:
    failed(program("train.py", "experiment=poly_inr/digts"), "did you mean 'poly_inr/digits'?")
    failed(program("train.py", "max_kimg=many"), "max_kimg must be a number, got 'many'")
    failed(program("train.py", "resume=auto"), "give run_dir=<folder>")
    if not torch.cuda.is_available():
        failed(program("train.py", "trainer=gpu", f"run_dir={tmp_path / 'run'}"), "No supported gpu backend found")
    failed(
        program("train.py", "resume=aut"), "resume must be never, auto or a checkpoint, got 'aut'; did you mean 'auto'?"
    )
    failed(program("train.py", "trainer.devices=2", f"run_dir={tmp_path / 'run'}"), "choose trainer=ddp")
    assert not any(tmp_path.iterdir()), "nothing is written before the input is known to be good"


def test_generate_from_the_command_line(program: Program, checkpoint: Path, tmp_path: Path) -> None:
    done = program("generate.py", f"checkpoint={checkpoint}", "task=grid", "resolution=0")
    failed(done, "at least 2 pixels a side, got 0 x 0")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["task=grid", "classes=[3,12]"], "class 12 is out of range: this model has classes 0 to 9"),
        (["task=grids"], "has no task 'grids': it offers "),
        (["task=grid", "resolutoin=64"], "no setting 'resolutoin'; did you mean 'resolution'?"),
        (["rows=many"], "rows must be of type int, got 'many'"),
        (["num_threads=0"], "num_threads must be finite and at least 1, got 0"),
        (["device=cuda:7"], "device 'cuda:7' is not to be had here"),
        (["checkpoint=nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
    ],
)
def test_what_generate_refuses(given: list[str], message: str, checkpoint: Path, tmp_path: Path) -> None:
    arguments = gather_options("generate", [f"checkpoint={checkpoint}", f"output={tmp_path}", *given])
    check_overrides("generate", arguments)
    with pytest.raises(ValueError, match=re.escape(message)):
        generate(compose("generate", arguments))
    assert not any(tmp_path.iterdir())


def test_evaluate_from_the_command_line(program: Program, tmp_path: Path) -> None:
    failed(program("evaluate.py"), "give one of checkpoint=<file>, images=")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["images=nowhere", "reference=digits"], "is neither a file, a folder nor a data module"),
        (["images={folder}", "reference=digits"], "holds no images"),
        (["images=x", "reference=digits", "metrics=fids"], "unknown metric 'fids'"),
        (["images=x", "reference=digits", "num_images=0"], "num_images must be an integer of at least 2"),
    ],
)
def test_what_evaluate_refuses(given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [text.format(folder=tmp_path) for text in given]
    check_overrides("evaluate", arguments)
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(compose("evaluate", arguments))
    assert not any(tmp_path.iterdir())


def test_truncated_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    content = checkpoint.read_bytes()
    for size in (0, 100, len(content) // 2, len(content) - 10):
        (tmp_path / "cut.ckpt").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"cut\.ckpt is not a whole checkpoint"):
            read_checkpoint(tmp_path / "cut.ckpt")


class Hostile:
    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return Path.touch, (Path("owned"),)  # type: ignore[return-value]


def test_hostile_checkpoint_runs_nothing(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.ckpt"
    torch.save(torch.load(checkpoint, weights_only=True) | {"extra": Hostile()}, path)
    with pytest.raises(ValueError, match="holds pickled objects, which could run code: refused"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="is not a whole checkpoint"):
        read_checkpoint(path)
    # A call of its own in the configuration: in a dictionary, hidden in a list, behind an interpolation.
    hostile_call = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": ["owned"]}}
    for key, value, message in (
        ("critic", {"_target_": "os.system"}, r"'os\.system', which is no class of this project: refused"),
        ("loss", [hostile_call, 0.99], r"method\.loss\[0\] calls 'pathlib\.Path\.touch', which is no class"),
        ("loss", "${oc.env:HOME}", "holds an interpolation"),
    ):
        content = torch.load(checkpoint, weights_only=True)
        content["config"]["method"][key] = value
        torch.save(content, path)
        with pytest.raises(ValueError, match=message):
            load_method(path)
    assert not (tmp_path / "owned").exists()


def test_checkpoint_of_another_program_or_method(checkpoint: Path, tmp_path: Path, small_run: Callable) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(ValueError, match="is not a checkpoint of polymorph"):
        read_checkpoint(path)
    content = torch.load(checkpoint, weights_only=True)
    content["config"]["method"]["_target_"] = "lightning_modules.dcgan.module.DCGAN"
    torch.save(content, path)
    with pytest.raises(
        ValueError, match=r"was trained with method._target_ = 'lightning_modules.dcgan.module.DCGAN', not"
    ):
        small_run("max_kimg=1", f"resume={path}")
    content = torch.load(checkpoint, weights_only=True)
    content["config"]["method"]["generator"]["width"] = 8
    torch.save(content, path)
    with pytest.raises(ValueError, match="do not fit the method it names"):
        load_method(path)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_keeps_the_previous_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    """A real refusal of the operating system: no file of this process may grow past half a checkpoint."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(checkpoint.read_bytes())
    content = torch.load(checkpoint, weights_only=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(checkpoint.read_bytes()) // 2, hard))
    try:
        with pytest.raises(
            OSError, match=r"cannot save .*last\.ckpt.*the previous checkpoint is kept; free some space"
        ):
            AtomicCheckpointIO().save_checkpoint(content, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == checkpoint.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"], "no half-written file is left"


def test_a_worker_that_dies_during_a_save_is_no_full_disk(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch says so from a signal's handler, wherever the process is; here in the middle of the write."""

    def interrupted(*args: object) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. ")

    path = tmp_path / "last.ckpt"
    path.write_bytes(checkpoint.read_bytes())
    content = torch.load(checkpoint, weights_only=True)
    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(RuntimeError, match=r"^DataLoader worker") as caught:
        AtomicCheckpointIO().save_checkpoint(content, path)
    assert failure_kind(caught.value) == "worker_died"
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"], "no half-written file is left"


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(TypeError), one_line_errors():
        raise TypeError("a bug")
    with pytest.raises(SystemExit) as caught, one_line_errors():
        raise ValueError("bad input\nin two lines")
    assert caught.value.code == 2


def test_task_settings_are_gathered_and_checked(checkpoint: Path) -> None:
    assert gather_options("generate", ["task=grid", "rows=3", "seed=1"]) == ["task=grid", "+options.rows=3", "seed=1"]
    method, _ = load_method(checkpoint)
    task = find_task(method, "grid")
    check_options(task, {"rows": 3, "psi": 0.5})
    with pytest.raises(ValueError, match="task grid has no setting 'row'; did you mean 'rows'"):
        check_options(task, {"row": 3})
