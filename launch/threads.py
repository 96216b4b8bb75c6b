"""CPU threads of a process, as ``num_threads`` asks."""

from __future__ import annotations


def check_threads(num_threads: object) -> None:
    """ValueError unless None, PyTorch's choice, or an integer of at least 1."""
    if num_threads is None:
        return
    if not isinstance(num_threads, int) or isinstance(num_threads, bool):
        raise ValueError(f"num_threads must be an integer, got {num_threads!r}")
    if num_threads < 1:
        raise ValueError(f"num_threads must be finite and at least 1, got {num_threads!r}")


def use_threads(num_threads: int | None) -> None:
    import torch  # a check of settings does not wait for it

    check_threads(num_threads)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
