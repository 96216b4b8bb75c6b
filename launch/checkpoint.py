"""Checkpoints: written atomically, read as plain data, turned back into a method."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from datamodules.base import ImageDataModule
from generative.plain_data import DamagedFile, are_weights, read_tensors
from launch.build import build, check_run_settings, check_trusted
from launch.errors import causes, failure_kind
from lightning_modules.base import Method

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class DamagedCheckpoint(ValueError):
    """A file that is no whole checkpoint: cut short, or of another kind."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk and renames: a reader sees the old file or the new one.

    The ``last.ckpt`` before this one stays as ``previous.ckpt``. Whenever the process is killed, one of the two is whole.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.writing")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.name == LAST and path.exists():
                keep_previous(path)
            temporary.replace(path)
            flush_folder(path.parent)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            if (
                failure_kind(error) == "worker_died"
            ):  # raised by a signal's handler, wherever this process happens to be
                raise
            # torch hides the refusal of the operating system behind words of its own.
            refusals = [cause for cause in causes(error) if isinstance(cause, OSError)]
            reason = refusals[-1].strerror if refusals else str(error)
            kept = "the previous checkpoint is kept; " if path.exists() else ""
            raise OSError(
                f"cannot save {path}: {reason}; {kept}free some space, then continue with resume=auto"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def keep_previous(last: Path) -> None:
    """Let ``previous.ckpt`` be what ``last`` is now."""
    linked = last.with_name(f".{PREVIOUS}.writing")
    linked.unlink(missing_ok=True)
    try:
        linked.hardlink_to(last)
    except OSError:  # a file system without links: for a moment there is only the previous one
        last.replace(last.with_name(PREVIOUS))
    else:
        linked.replace(last.with_name(PREVIOUS))


def last_good_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint of a run in ``folder`` and its content; None where no checkpoint lies there.

    A damaged ``last.ckpt`` is put aside, so that it never takes the place of the previous one.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if last.exists():
        try:
            return last, read_checkpoint(last)
        except DamagedCheckpoint as error:
            if not previous.exists():
                raise
            aside = last.with_suffix(".damaged")
            print(f"{error}: put aside as {aside.name}, the run goes on from {PREVIOUS}")
            content = read_checkpoint(previous)
            last.replace(aside)
            return previous, content
    if not previous.exists():
        return None
    print(f"there is no {last}: the run goes on from {PREVIOUS}")
    return previous, read_checkpoint(previous)


def check_device(device: str) -> None:
    """ValueError for a device that is no device, or not on this machine."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without that kind of device
        raise ValueError(f"device {device!r} is not to be had here: {str(error).splitlines()[0]}") from error


def flush_folder(folder: Path) -> None:
    """Bring a rename in ``folder`` to the disk: without it a crash of the machine could undo it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, on the CPU. Never runs code from the file; ValueError says what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        # The end of a zip archive holds its table of contents: without it the file was cut short.
        with zipfile.ZipFile(path):
            pass
        checkpoint = read_tensors(path)
    except (zipfile.BadZipFile, DamagedFile) as error:
        raise DamagedCheckpoint(f"{path} is not a whole checkpoint (cut short, or another kind of file)") from error
    if not isinstance(checkpoint, dict) or not {"config", "state_dict", "images_seen"} <= checkpoint.keys():
        raise ValueError(f"{path} is not a checkpoint of polymorph")
    try:
        check_run_settings(checkpoint["config"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    state, images_seen = checkpoint["state_dict"], checkpoint["images_seen"]
    if not are_weights(state) or not are_weights(checkpoint.get("prior", {})):
        raise ValueError(f"{path} holds no weights by their names, or a prior that is no tensors by theirs")
    if type(images_seen) is not int or images_seen < 0:
        raise ValueError(f"{path} says that it has seen {images_seen!r} images: it is not a checkpoint of polymorph")
    return checkpoint


def load_method(path: str | Path, *, device: str = "cpu") -> tuple[Method, ImageDataModule]:
    """The method of a checkpoint with its weights, in evaluation mode, and its data module (nothing loaded yet).

    For use from Python::

        method, datamodule = load_method("runs/a/checkpoints/last.ckpt")
        images = method.sample(0, 2, seed=0, labels=[3, 3])  # [2, C, H, W] in about [-1, 1], of a generator

    ``path``: a file of train.py's. ``device``: where the weights go, as PyTorch names it. Runs no code from the file;
    ValueError says what is wrong with it.
    """
    check_device(device)
    path = Path(path)
    checkpoint = read_checkpoint(path)
    try:
        check_trusted(checkpoint["config"])
        datamodule, method = build(checkpoint["config"])
    except (ValueError, TypeError) as error:  # TypeError: a part that does not fit the one around it
        raise ValueError(f"{path}: {error}") from error
    try:
        method.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {path} do not fit the method it names: {str(error).splitlines()[-1]}"
        ) from error
    try:
        method.on_load_checkpoint(checkpoint)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return method.to(device).eval(), datamodule
