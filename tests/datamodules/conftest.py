"""What several tests of data modules read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.defects import write_boards


@pytest.fixture(scope="session")
def boards_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DeepPCB's layout with eight made-up training boards; tests must not write into it."""
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder)
    return folder
