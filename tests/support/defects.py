"""Small made-up sets of defects: boards of two levels as DeepPCB stores them, and parts in colour with COCO's masks.

They are drawn by other means than the synthesiser's: straight lines, rectangles and ellipses of OpenCV.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

SIDE = 192
KINDS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
MARGIN = 8  # of the boxes of boards
TRACK, GAP = 14, 14  # pixels


def board() -> np.ndarray:
    """A faultless board, dark tracks on white: uint8 [SIDE, SIDE]."""
    pixels = np.full((SIDE, SIDE), 255, dtype=np.uint8)
    for top in range(20, SIDE - TRACK, TRACK + GAP):
        pixels[top : top + TRACK, 10 : SIDE - 10] = 0
    pixels[SIDE - 70 :, 60:140] = 0  # a wide part
    pixels[:50, 100:170] = 255  # and a bare one
    return pixels


def defect_of_a_board(pixels: np.ndarray, kind: str, place: int) -> tuple[int, int, int, int]:
    """Draw a defect of a kind; left, top, right and bottom of its pixels. ``place`` moves it along its track."""
    x, top = 20 + 9 * place, 20 + (TRACK + GAP) * 2
    if kind == "open":
        pixels[top : top + TRACK, x : x + 5] = 255
        return x, top, x + 5, top + TRACK
    if kind == "short":
        pixels[top + TRACK : top + TRACK + GAP, x : x + 6] = 0
        return x, top + TRACK, x + 6, top + TRACK + GAP
    if kind == "mousebite":
        pixels[top : top + 6, x : x + 9] = 255
        return x, top, x + 9, top + 6
    if kind == "spur":
        pixels[top + TRACK : top + TRACK + 7, x : x + 7] = 0
        return x, top + TRACK, x + 7, top + TRACK + 7
    if kind == "copper":
        pixels[18:27, 120 + 2 * place : 131 + 2 * place] = 0
        return 120 + 2 * place, 18, 131 + 2 * place, 27
    pixels[SIDE - 40 : SIDE - 32, 80 + 2 * place : 90 + 2 * place] = 255
    return 80 + 2 * place, SIDE - 40, 90 + 2 * place, SIDE - 32


def write_boards(folder: Path, *, count: int = 8) -> None:
    """DeepPCB's layout: ``count`` training boards with a defect of each kind, and two to test on."""
    for listed, first, number in (("trainval.txt", 0, count), ("test.txt", count, 2)):
        lines = []
        for index in range(first, first + number):
            name = f"00001{index:03d}"
            images, boxes = folder / "group00001" / "00001", folder / "group00001" / "00001_not"
            images.mkdir(parents=True, exist_ok=True)
            boxes.mkdir(exist_ok=True)
            clean = board()
            rows = []
            tested = clean.copy()
            for place, kind in enumerate(KINDS):
                left, top, right, bottom = defect_of_a_board(
                    tested, kind, (index % 4) + (3 * place if place < 4 else 0)
                )
                rows.append(f"{left - MARGIN} {top - MARGIN} {right + MARGIN} {bottom + MARGIN} {place + 1}")
            cv2.imwrite(str(images / f"{name}_temp.jpg"), clean, [cv2.IMWRITE_JPEG_QUALITY, 95])
            cv2.imwrite(str(images / f"{name}_test.jpg"), tested, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (boxes / f"{name}.txt").write_text("\n".join(rows))
            lines.append(f"group00001/00001/{name}.jpg group00001/00001_not/{name}.txt")
        (folder / listed).write_text("\n".join(lines))


def part(number: int) -> np.ndarray:
    """A faultless part in colour: a grey die on green, with noise; uint8 [SIDE, SIDE, 3], red first."""
    random = np.random.default_rng(number)
    pixels = np.full((SIDE, SIDE, 3), (40, 90, 50), dtype=np.float64)
    pixels[50:140, 50:140] = (120, 120, 130)
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    return np.clip(soft + random.normal(0, 3, soft.shape), 0, 255).astype(np.uint8)


def fibre_mask(number: int) -> np.ndarray:
    """A bent line four pixels wide, bool [SIDE, SIDE]."""
    random = np.random.default_rng(100 + number)
    t = np.linspace(0, 1, 40)
    x = 30 + 100 * t + random.uniform(0, 20)
    y = 90 + 50 * np.sin(3 * t + random.uniform(0, 3)) * random.uniform(0.4, 1.0)
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    cv2.polylines(canvas, [np.stack([x, y], axis=1).round().astype(np.int32)], False, 1, 4)
    return canvas.astype(bool)


def blot_mask(number: int) -> np.ndarray:
    """An ellipse over the right edge of the die, bool [SIDE, SIDE]."""
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    cv2.ellipse(canvas, (140, 70 + 6 * number), (12 + number % 3, 9), 20 * number, 0, 360, 1, -1)
    return canvas.astype(bool)


def write_parts(folder: Path, *, count: int = 6, masks: bool = True, twins: bool = False) -> None:
    """COCO's layout: ``count`` pictures with a dark fibre and as many with an amber blot; faultless ones in ``faultless/``."""
    images, annotations = [], []
    (folder / "train").mkdir(parents=True)
    (folder / "faultless").mkdir()
    for number in range(2 * count):
        is_fibre = number % 2 == 0
        clean = part(number)
        mask = fibre_mask(number) if is_fibre else blot_mask(number)
        colour = np.array((30, 25, 20) if is_fibre else (190, 130, 30), dtype=np.float64)
        soft = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 0.7)[..., None]
        noise = np.random.default_rng(500 + number).normal(0, 3, clean.shape)
        pixels = np.clip(clean * (1 - soft) + soft * (colour + noise), 0, 255).astype(np.uint8)
        name = f"{number:03d}.png"
        cv2.imwrite(str(folder / "train" / name), pixels[..., ::-1])
        if twins:
            (folder / "clean").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "clean" / name), clean[..., ::-1])
        rows, columns = np.nonzero(mask)
        left, top, width, height = int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        images.append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
        contour = max(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
        annotations.append({
            "id": number, "image_id": number, "category_id": 1 if is_fibre else 2, "iscrowd": 0, "area": int(mask.sum()),
            "bbox": [left, top, width, height], **({"segmentation": [contour.ravel().tolist()]} if masks else {}),
        })  # fmt: skip
    for number in range(4):
        cv2.imwrite(str(folder / "faultless" / f"{number}.png"), part(1000 + number)[..., ::-1])
    categories = [{"id": 1, "name": "fibre"}, {"id": 2, "name": "excess epoxy"}]
    (folder / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (folder / "test").mkdir()
    cv2.imwrite(str(folder / "test" / "t0.png"), part(99)[..., ::-1])
    test = {
        "images": [{"id": 1, "file_name": "t0.png", "height": SIDE, "width": SIDE}],
        "annotations": [],
        "categories": categories,
    }
    (folder / "test.json").write_text(json.dumps(test))
