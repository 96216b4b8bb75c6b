"""Lines of JSON that a long task writes as it goes, so that a run that was broken off goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """The file ``<name>.jsonl`` of an output folder: a line for each image and arm, which all hang on the settings ``facts``.

    What stands there is kept, but for images that lack the line of one of the ``arms``, as after a kill. ValueError where it
    holds results of other settings. A line that says why there is no result has the key ``failed``.
    """

    def __init__(self, output: Path, name: str, *, facts: Mapping[str, Any], arms: Sequence[str]) -> None:
        self.path, settings = output / f"{name}.jsonl", output / f"{name}_settings.json"
        asked = json.dumps(dict(facts), indent=1) + "\n"
        text = self.path.read_text() if self.path.exists() else ""
        if not settings.exists() or settings.read_text() != asked:
            if any("failed" not in line for line in map(json.loads, whole_lines(text))):
                raise ValueError(
                    f"{self.path} holds results of other settings: choose another output folder, or remove it"
                )
            text = ""
        output.mkdir(parents=True, exist_ok=True)
        if not text:
            settings.write_text(asked)
            self.path.write_text("")
        whole = complete(text, arms)
        if whole != text:
            kept = self.path.with_suffix(".kept")
            kept.write_text(whole)
            kept.replace(self.path)  # at once, so that a kill here loses nothing

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def done(self) -> set[str]:
        """The images that have their lines."""
        return {line["image"] for line in self.lines()}

    def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self.path.open("a") as file:
            file.write("".join(json.dumps(dict(line)) + "\n" for line in lines))


def whole_lines(text: str) -> list[str]:
    """All but one that a kill cut off."""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def complete(text: str, arms: Sequence[str]) -> str:
    """The lines of images that have one for each of the ``arms``."""
    whole = whole_lines(text)
    found: dict[str, set[str]] = {}
    for line in map(json.loads, whole):
        found.setdefault(line["image"], set()).add(line["arm"])
    return "".join(line for line in whole if found[json.loads(line)["image"]] >= set(arms))
