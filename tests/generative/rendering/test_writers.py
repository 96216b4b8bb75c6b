"""Images written batch by batch are the images that are read back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from generative.rendering.files import ImageFiles, read_array
from generative.rendering.writers import WRITERS, file_name, unfinished

IMAGES = torch.arange(5 * 3 * 4 * 2, dtype=torch.uint8).view(5, 3, 4, 2)


def write(path: Path, format: str, labels: Tensor | None = None) -> None:
    with WRITERS[format](path, 5, (3, 4, 2)) as add:
        for numbers in torch.arange(5).split(2):
            add(int(numbers[0]), IMAGES[numbers], None if labels is None else labels[numbers])


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("labels", [None, torch.tensor([1, 1, 0, 1, 0])])
def test_what_is_written_is_read_back(format: str, labels: Tensor | None, tmp_path: Path) -> None:
    path = tmp_path / f"images.{format}"
    write(path, format, labels)
    if format == "npz":
        images, found = read_array(path)
    else:
        files = ImageFiles(path)
        images, found = files.images(0, len(files)), files.labels()
    # The numbers of files say the order in which they were drawn, whatever their class.
    assert images.equal(IMAGES)
    assert found is None if labels is None else found.equal(labels)


def test_names_are_of_one_width() -> None:
    assert file_name(7, None, 10) == "000007.png"
    assert file_name(7, 2, 10_000_001) == "2/00000007.png"


def fail_half_way(target: Path, format: str) -> None:
    with unfinished(target) as path:
        write(path, format)
        raise RuntimeError("half way")


@pytest.mark.parametrize("format", WRITERS)
def test_nothing_is_left_of_what_fails(format: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(tmp_path / "set", format)
    assert not list(tmp_path.iterdir())


def test_the_name_is_there_when_all_is_written(tmp_path: Path) -> None:
    with unfinished(tmp_path / "deep" / "set") as path:
        path.write_text("all")
        assert not (tmp_path / "deep" / "set").exists()
        with (
            pytest.raises(ValueError, match="is written by another process, or is what one that was killed has left"),
            unfinished(tmp_path / "deep" / "set"),
        ):
            pass
        assert path.exists(), "the other's is left alone"
    assert (tmp_path / "deep" / "set").read_text() == "all"
    with (
        pytest.raises(ValueError, match="set is there already: choose another output="),
        unfinished(path.with_name("set")),
    ):
        pass
