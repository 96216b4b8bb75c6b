"""Pages of claims: made from one file a method, in which everything unknown fails by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.ledger.__main__ import main, make
from docs.ledger.pages import ledger, read_page, read_pages
from tests.conftest import ROOT


def test_the_page_and_the_readme_are_made_from_the_results() -> None:
    make(check=True)


def test_a_page_out_of_date_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "README.md"
    changed.write_text((ROOT / "README.md").read_text().replace("0.357", "0.257"))
    monkeypatch.setattr("docs.ledger.__main__.README", changed)
    with pytest.raises(ValueError, match=r"^README.md out of date: run make claims"):
        make(check=True)


NEW = """
title: Energies (a paper)
place: 3
readme:
  - {experiment: poly_inr/digits_style, printed: "3.14"}
claims:
  - kind: order
    where: Figure 7
    says: Networks with moments are better than those without
    measure: accuracy
    better: {experiment: dgm/cifar10_level4}
    worse: {experiment: dgm/cifar10_level1}
  - kind: untested
    where: Table 9
    says: "ImageNet: 99 %"
    needs: ImageNet
"""


def test_the_claims_of_a_new_method_are_one_file(tmp_path: Path) -> None:
    """In a copy of the documents, where the file is the one thing that is new."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.png", "__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "docs" / "claims" / "energy.yaml").write_text(NEW)
    done = subprocess.run(
        [sys.executable, "-m", "docs.ledger"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["docs/claims.md", "docs/results/priors.md", "README.md"]
    before, page = (folder.joinpath("docs/claims.md").read_text() for folder in (ROOT, tmp_path))
    assert "Energies" not in before
    own = page.partition("## Energies (a paper)")[2].partition("\n## ")[0]
    order, untested = own.strip().splitlines()[2:]
    assert order.startswith("| Figure 7 | Networks with moments are better than those without | accuracy +0.0474, 95 %")
    assert order.endswith("| reproduced at this scale |")
    ((number, times),) = Counter(re.findall(r"among (\d+) orders \(Holm\)", before)).items()
    assert page.count(f"among {int(number) + 1} orders (Holm)") == 1 + times, "it counts with the others"
    assert untested == "| Table 9 | ImageNet: 99 % |  |  |  |  |  | not testable here: needs ImageNet |"
    readmes = [(folder / "README.md").read_text().splitlines() for folder in (ROOT, tmp_path)]
    (added,) = set(readmes[1]) - set(readmes[0])
    assert added.startswith("| `poly_inr/digits_style` | 0.434 ± 0.083 |")
    assert added.endswith("| 3.14 |")


def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "energy.yaml").write_text(NEW.replace("cifar10_level1", "cifar10_levle1"))
    monkeypatch.setattr("docs.ledger.pages.CLAIMS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["docs.ledger", "--check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: energy.yaml, claim 1, worse, experiment: there is no experiment 'dgm/cifar10_levle1'; did you mean "
    )


def test_the_gate_that_judges_is_the_gate_that_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "{title: A, place: 1, claims: [],"
        "gates: {one: {of: digits, measured: By eye., bounds: {fd: {at_most: 2.0}, recall: {at_least: 0.1, at_most: 0.9}}}}}"
    )
    text = ledger([read_page(path)])
    assert "asks of every seed: fd at most 2.0, recall at least 0.1 and at most 0.9. By eye." in " ".join(text.split())
    assert all(len(line) <= 120 for line in text.splitlines())


def test_pages_stand_in_their_places() -> None:
    assert [page.name for page in read_pages()][:2] == ["poly_inr", "dgm"]


GATE: dict[str, Any] = {
    "kind": "gate",
    "where": "Table 1",
    "says": "It works",
    "of": {"experiment": "dgm/digits"},
    "measures": {"right": "accuracy"},
    "gate": {"bounds": {"accuracy": {"at_least": 0.5}}},
}
ARM = {"experiment": "dgm/digits"}
ORDER: dict[str, Any] = {
    "kind": "order",
    "where": "Table 1",
    "says": "It works",
    "measure": "accuracy",
    "better": ARM,
    "worse": ARM,
}


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (GATE | {"kind": "gaet"}, "a.yaml, claim 1: there is no kind 'gaet'; did you mean 'gate'?"),
        ({"where": "Table 1"}, "a.yaml, claim 1 needs a kind: one of value, gate, order"),
        (GATE | {"wehre": "x"}, "a.yaml, claim 1: there is no key 'wehre'; did you mean 'where'?"),
        (GATE | {"needs": "x"}, "a.yaml, claim 1: there is no key 'needs'"),
        ({"kind": "untested", "where": "x", "says": "y"}, "a.yaml, claim 1 lacks the key 'needs'"),
        (GATE | {"measures": {"right": "acuracy"}}, "measures, right: there is no measure 'acuracy'; did you mean 'accuracy'?"),
        (
            GATE | {"gate": {"bounds": {"recal": {"at_least": 0.5}}}},
            "gate, bounds: there is no measure 'recal'; did you mean 'recall'?",
        ),
        (GATE | {"gate": {"bounds": {"recall": {"at_lest": 0.5}}}}, "there is no key 'at_lest'; did you mean 'at_least'?"),
        (GATE | {"gate": {"bounds": {"recall": {}}}}, "needs 'at_least', 'at_most' or both"),
        (GATE | {"of": {"experiment": "dgm/digit"}}, "there is no experiment 'dgm/digit'; did you mean 'dgm/digits'?"),
        (GATE | {"of": "dgm/digits"}, "claim 1, of must be a mapping of keys to values, got 'dgm/digits'"),
        (
            GATE | {"of": ARM | {"results": "poly_inr/digits_secnd_look"}},
            "there is no file of docs/results 'poly_inr/digits_secnd_look'; did you mean 'poly_inr/digits_second_look'?",
        ),
        (ORDER | {"measure": "acuracy"}, "claim 1: there is no measure 'acuracy'; did you mean 'accuracy'?"),
        (ORDER | {"direction": "lower"}, "leave out 'direction': the measure 'accuracy' has one"),
        (ORDER | {"says": 7}, "claim 1, says must be of type str, got 7"),
        (
            {"kind": "counts", "where": "x", "says": "y", "constructor": "z", "command": "c", "how": "so"}
            | {"networks": {"one": {"settings": {}, "printed": 46.0}}},
            "networks, one, printed must be of type str, got 46.0",
        ),
        (
            {"kind": "counts", "where": "x", "says": "y", "constructor": "z", "command": "c", "how": "so"}
            | {"networks": {"one": {"settings": {}, "printed": "46 M"}}},
            "printed must be millions of parameters such as '46.0', got '46 M'",
        ),
    ],
)  # fmt: skip
def test_what_is_unknown_in_a_claim_is_named(claim: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"title": "A", "place": 1, "claims": [claim]}))
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole of what it says is compared
        read_page(path)
    assert says in str(error.value)
    assert str(error.value).startswith("a.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel: A\nplace: 1\nclaims: []", "a.yaml: there is no key 'titel'; did you mean 'title'?"),
        ("title: A\nplace: first\nclaims: []", "a.yaml, place must be of type int, got 'first'"),
        ("title: A\nplace: 1", "a.yaml must have a list 'claims'"),
        ("title: A\ntitle: B\nplace: 1\nclaims: []", "a.yaml cannot be read: .*duplicate key title"),
        ("title: A\nplace: 1\nclaims: *none", "a.yaml cannot be read: found undefined alias"),
        (
            "title: A\nplace: 1\nclaims: []\nreadme: [{experiment: dgm/digit, printed: 1}]",
            "there is no experiment 'dgm/digit'; did you mean 'dgm/digits'?",
        ),
    ],
)
def test_what_is_unknown_in_a_page_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        read_page(path)


def test_a_claim_that_fails_on_its_results_is_named(tmp_path: Path) -> None:
    arm = {"experiment": "dgm/digits", "results": "dgm/digits_maps_scored", "only": {"mpa": "moments"}}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"title": "A", "place": 1, "claims": [ORDER | {"better": arm}]}))
    with pytest.raises(
        ValueError, match=r"a.yaml, Table 1, 'It works': no line of .* the key 'mpa'; did you mean 'map'"
    ):
        read_page(path).rows()
