"""Constructors that hand arguments on: every argument has a name that is known before anything is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.images import OwnImages
from launch.build import build, takes_target_classes
from launch.compose import check_overrides, compose, plain
from launch.constructors import HANDED_ON, check_constructor_calls, constructor_arguments
from lightning_modules.dgm.backbones import DGMBackbone
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.dgm.networks import DGM
from tests.conftest import ROOT

FOLDERS = ("lightning_modules", "datamodules", "callbacks", "generative", "metrics", "records", "launch")
METHOD_ARGUMENTS = {"image_shape", "num_classes", "seed", "accumulate", "clip_norm"}


def constructors() -> Iterator[tuple[Path, ast.FunctionDef, set[str]]]:
    """Each constructor, and the arguments that its class says it states itself."""
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for kind in ast.walk(ast.parse(path.read_text())):
            if isinstance(kind, ast.ClassDef):
                for node in kind.body:
                    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                        yield path, node, stated_arguments(kind)


def stated_arguments(kind: ast.ClassDef) -> set[str]:
    values = [
        node.value for node in kind.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "stated_arguments"
    ]  # fmt: skip
    return {name for value in values for name in ast.literal_eval(value)}


def faults(constructor: ast.FunctionDef, stated: set[str] | None = None) -> list[str]:
    """What a constructor with ``**keywords`` does that hides an argument from whoever reads its signature."""
    keywords = constructor.args.kwarg
    if keywords is None:
        return []
    found = [] if keywords.arg == HANDED_ON else [f"**{keywords.arg} is not called {HANDED_ON}"]
    uses = sum(isinstance(node, ast.Name) and node.id == keywords.arg for node in ast.walk(constructor))
    calls = [call for call in ast.walk(constructor) if isinstance(call, ast.Call) and is_of_next_class(call)]
    handed_on = [call for call in calls if any(given_whole(one, keywords.arg) for one in call.keywords)]
    if uses != 1 or len(handed_on) != 1:
        return [*found, f"**{keywords.arg} is not handed to super().__init__ and nowhere else"]
    own = {argument.arg for argument in constructor.args.kwonlyargs} | (stated or set())
    return found + [
        f"{one.arg} could be given twice" for one in handed_on[0].keywords if one.arg and one.arg not in own
    ]


def is_of_next_class(call: ast.Call) -> bool:
    return ast.unparse(call.func) == "super().__init__"


def given_whole(keyword: ast.keyword, name: str) -> bool:
    return keyword.arg is None and ast.unparse(keyword.value) == name


def test_keywords_are_handed_to_the_next_class_and_nowhere_else() -> None:
    found = list(constructors())
    assert len(found) > 50
    assert sum(constructor.args.kwarg is not None for _, constructor, _ in found) >= 5
    broken = [f"{path.relative_to(ROOT)}: {fault}" for path, *one in found for fault in faults(*one)]
    assert not broken


@pytest.mark.parametrize(
    ("constructor", "fault"),
    [
        ("def __init__(self, **kwargs): super().__init__(**kwargs)", "is not called given"),
        ("def __init__(self, **given): super().__init__(**given); self.x = given", "and nowhere else"),
        ("def __init__(self, **given): super().__init__()", "is not handed to"),
        ("def __init__(self, **given): other(**given)", "is not handed to"),
        ("def __init__(self, *, a, **given): super().__init__(a=a, b=1, **given)", "b could be given twice"),
    ],
)
def test_a_constructor_that_hides_an_argument_is_found(constructor: str, fault: str) -> None:
    node = ast.parse(constructor).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert fault in "; ".join(faults(node))


def test_the_arguments_of_the_whole_chain_are_known() -> None:
    arguments = constructor_arguments(DGMClassifier)
    assert arguments.keys() >= METHOD_ARGUMENTS | {"trained", "label_smoothing", "budget_kimg"}
    assert HANDED_ON not in arguments
    assert arguments["clip_norm"].annotation is float
    assert arguments["trained"].annotation is str
    # The nearest class says what it takes: a backbone of deep geometric moments, not any classifier's.
    assert "DGM" in str(arguments["backbone"].annotation)
    assert takes_target_classes({"_target_": "lightning_modules.dgm.segmentation.Segmentation"})
    assert not takes_target_classes({"_target_": "lightning_modules.dgm.module.DGMClassifier"})


def test_an_argument_that_a_class_states_itself_is_not_to_be_given() -> None:
    arguments = constructor_arguments(DGMBackbone)
    assert arguments.keys() == constructor_arguments(DGM).keys() - {"num_classes", "dropout"}
    call = {"_target_": "lightning_modules.dgm.backbones.DGMBackbone", "channels": 8, "blocks": [1], "dropout": 0.5}
    with pytest.raises(ValueError, match="DGMBackbone has no argument 'dropout'"):
        check_constructor_calls({"backbone": call})


@pytest.mark.parametrize(("key", "owner"), [("num_classes", "the data module"), ("seed", "seed=")])
def test_what_others_say_is_not_to_be_given_to_a_method(key: str, owner: str) -> None:
    config = plain(compose("train", ["experiment=none", "run_dir=nowhere", f"+method.{key}=3"]))
    with pytest.raises(ValueError, match=f"method.{key} has no effect, since {owner} says what it is"):
        build(config)


class Open:
    def __init__(self, *, known: int, **kwargs: Any) -> None:
        self.known, self.kwargs = known, kwargs


class Bare:
    """Without a constructor."""


def test_only_a_foreign_constructor_takes_what_nobody_knows() -> None:
    place = __name__
    check_constructor_calls({"one": {"_target_": f"{place}.Open", "known": 1, "unknown": 2}})
    with pytest.raises(ValueError, match=r"one\.known must be of type int"):
        check_constructor_calls({"one": {"_target_": f"{place}.Open", "known": "x"}})
    with pytest.raises(ValueError, match="Bare has no argument 'known'"):
        check_constructor_calls({"one": {"_target_": f"{place}.Bare", "known": 1}})


@pytest.mark.parametrize(
    ("method", "key", "meant"),
    [
        ("dgm", "method.clip_nrom", "clip_norm"),
        ("dgm", "method.label_smothing", "label_smoothing"),
        ("dgm", "datamodule.num_worker", "num_workers"),
    ],
)
def test_a_misspelt_key_of_another_class_of_the_chain_names_itself(method: str, key: str, meant: str) -> None:
    config = plain(compose("train", ["experiment=none", f"method={method}", "run_dir=nowhere", f"+{key}=1"]))
    part, _, misspelt = key.partition(".")
    with pytest.raises(ValueError, match=rf"no argument '{misspelt}' \({part}\.{misspelt}\); did you mean '{meant}'"):
        check_constructor_calls(config)


def test_an_argument_of_another_class_of_the_chain_is_told_from_the_command_line() -> None:
    with pytest.raises(ValueError, match=r"its constructor has it: write \+method\.clip_norm=<value>"):
        check_overrides("train", ["method=dgm", "experiment=none", "method.clip_norm=1"])


def test_images_of_ones_own_are_not_to_be_downloaded() -> None:
    config = plain(compose("train", ["experiment=none", "datamodule=images", "+datamodule.download=true"]))
    with pytest.raises(ValueError, match=r"OwnImages has no argument 'download' \(datamodule\.download\)"):
        check_constructor_calls({"datamodule": config["datamodule"]})


def test_a_value_of_the_wrong_type_names_itself_wherever_the_argument_is_stated() -> None:
    config = plain(compose("train", ["experiment=none", "method=dgm", "run_dir=nowhere", "+method.accumulate=half"]))
    with pytest.raises(ValueError, match=r"method\.accumulate must be of type int, got 'half'"):
        check_constructor_calls(config)


def test_a_misspelt_argument_names_itself_from_python() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bach_size'"):
        OwnImages(data_dir="nowhere", resolution=8, bach_size=1, seed=0)
    facts = {"image_shape": (1, 8, 8), "num_classes": 10, "seed": 0}
    with pytest.raises(TypeError, match="unexpected keyword argument 'clip_nrom'"):
        DGMClassifier(backbone=DGM, optimizer=torch.optim.SGD, budget_kimg=1.0, clip_nrom=1.0, **facts)
