"""Lines of JSON that a long task writes as it goes, so that a run that was broken off goes on where it was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """The file ``name`` of an output folder: lines of images, several for each, which all hang on the settings ``facts``.

    What stands there is kept, without the lines of an image that a kill cut short. ValueError where it is of other settings.
    """

    def __init__(self, output: Path, name: str, *, facts: Mapping[str, Any]) -> None:
        self.path, settings = output / f"{name}.jsonl", output / f"{name}_settings.json"
        asked = json.dumps(dict(facts), indent=1) + "\n"
        if self.path.exists() and (not settings.exists() or settings.read_text() != asked):
            raise ValueError(f"{self.path} holds results of other settings: choose another output folder, or remove it")
        output.mkdir(parents=True, exist_ok=True)
        settings.write_text(asked)
        whole = complete(self.path.read_text()) if self.path.exists() else []
        self.path.write_text("".join(line + "\n" for line in whole))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def done(self) -> set[str]:
        """The images that have their lines."""
        return {line["image"] for line in self.lines()}

    def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self.path.open("a") as file:
            file.write("".join(json.dumps(dict(line)) + "\n" for line in lines))


def complete(text: str) -> list[str]:
    """The lines of images that have as many as the first one."""
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    names = [json.loads(line)["image"] for line in whole]
    counts = Counter(names)
    return [line.rstrip("\n") for line, name in zip(whole, names, strict=True) if counts[name] == counts[names[0]]]
