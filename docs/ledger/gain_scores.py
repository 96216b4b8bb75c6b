"""What a classifier of patches is scored by: names, and defect against faultless."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

FALSE_CALLS = (0.01, 0.05)


def balanced(labels: np.ndarray, named: np.ndarray, num_classes: int) -> float:
    """The mean over the classes that ``labels`` [N] has of the share of each that is named so, in per cent."""
    hits = [float((named[labels == label] == label).mean()) for label in range(num_classes) if (labels == label).any()]
    return 100 * float(np.mean(hits))


def threshold_at(clean: np.ndarray, share: float) -> float:
    """The lowest score above which at most the share ``share`` of the faultless scores ``clean`` [N] lies."""
    ordered = np.sort(clean)[::-1]
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)])


def missed(scores: np.ndarray, is_defect: np.ndarray, share: float) -> float:
    """Per cent of the defects that do not lie above :func:`threshold_at`."""
    return 100 * float((scores[is_defect] <= threshold_at(scores[~is_defect], share)).mean())


def detection(scores: np.ndarray, labels: np.ndarray, num_classes: int) -> dict[str, float]:
    """AUROC of defect against faultless, and misses at 1 and 5 % of false calls, in per cent."""
    is_defect = labels < num_classes - 1
    found = {"auroc": 100 * float(roc_auc_score(is_defect, scores))}
    return found | {f"misses_at_{100 * share:g}": missed(scores, is_defect, share) for share in FALSE_CALLS}


def scored(chances: np.ndarray, labels: np.ndarray, unseen: np.ndarray | None) -> dict[str, Any]:
    """Scores of chances [N, C], the last class faultless. ``unseen`` [N]: patches of kinds of boards that training never shows.

    A class that no patch shows has no recall and no part in the balanced accuracy.
    """
    num_classes = chances.shape[1]
    named = chances.argmax(axis=1)
    found: dict[str, Any] = {"balanced_accuracy": balanced(labels, named, num_classes)}
    found |= detection(1 - chances[:, -1], labels, num_classes)
    there = set(labels.tolist())
    found["recalls"] = [
        100 * float((named[labels == label] == label).mean()) if label in there else None
        for label in range(num_classes)
    ]
    if unseen is not None and unseen.any() and not unseen.all():
        found["balanced_accuracy_unseen"] = balanced(labels[unseen], named[unseen], num_classes)
        found["balanced_accuracy_seen"] = balanced(labels[~unseen], named[~unseen], num_classes)
    found = {
        key: [one if one is None else round(one, 2) for one in value] if isinstance(value, list) else round(value, 2)
        for key, value in found.items()
    }
    return found | {"named": "".join(np.base_repr(label, 36) for label in named)}
