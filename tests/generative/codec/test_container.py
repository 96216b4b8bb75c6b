"""The file's layout by hand, and each way in which a file can be wrong, in a sentence."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from generative.codec.container import (
    FIXED,
    Header,
    length_at,
    length_bytes,
    overhead,
    packed,
    unpacked,
)

HEADER = Header(
    kernel="full", residual=True, channels=3, pixels=(200, 300), width=4, depth=2, steps=(9, 8, 7), scales=(1, 2, 3)
)
PAYLOAD = bytes(range(250))
CONTENT = packed(HEADER, PAYLOAD)


def sealed(content: bytes) -> bytes:
    """With the checksum that belongs to it, as another writer would make it."""
    return content[:-4] + zlib.crc32(content[:-4]).to_bytes(4, "little")


def test_the_layout_by_hand() -> None:
    expected = b"DFM" + bytes([1, 0b1100, 300 % 256, 300 // 256, 200, 0, 4, 2, 9, 8, 7, 1, 2, 3, 250 - 128 + 128, 1])
    assert CONTENT[: len(expected)] == expected
    assert CONTENT[len(expected) : -4] == PAYLOAD
    assert CONTENT[-4:] == zlib.crc32(CONTENT[:-4]).to_bytes(4, "little")
    assert len(CONTENT) == overhead(2, len(PAYLOAD)) + len(PAYLOAD)
    assert unpacked(CONTENT, "a.dfm") == (HEADER, PAYLOAD)


@pytest.mark.parametrize("changes", [{"kernel": "odd", "channels": 1}, {"kernel": "cas", "residual": False}])
def test_flags_come_back(changes: dict[str, object]) -> None:
    header = replace(HEADER, **changes)
    assert unpacked(packed(header, b""), "a.dfm") == (header, b"")


@pytest.mark.parametrize("length", [0, 127, 128, 300, 2**14, 2**31])
def test_lengths_come_back(length: int) -> None:
    assert length_at(b"x" + length_bytes(length) + b"\xff", 1) == (length, 1 + len(length_bytes(length)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.dfm is no file of this codec: it does not begin with DFM"),
        (b"\x89PNG" + CONTENT, "is no file of this codec"),
        (
            CONTENT[:3] + b"\x02" + CONTENT[4:],
            "of format version 2, and this program reads up to 1: take a newer program",
        ),
        (CONTENT[:3], "was cut short: it ends in its header"),
        (CONTENT[: FIXED.size], "was cut short: it ends in its header"),
        (CONTENT[:-1], f"was cut short: it has {len(CONTENT) - 1} bytes and says that it has {len(CONTENT)}"),
        (CONTENT + b"\0", "has 1 bytes behind its end: something was added to it"),
        (CONTENT[:60] + b"\0" + CONTENT[61:], "was changed: its checksum does not match"),
        (CONTENT[:-1] + b"\0", "was changed: its checksum does not match"),
        (sealed(CONTENT[:4] + b"\x43" + CONTENT[5:]), "has flags 67, which version 1 does not know"),
        (sealed(CONTENT[:9] + b"\0" + CONTENT[10:]), "was written by another program: a network of width 0"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_a_sentence(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpacked(content, "a.dfm")


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    for place in range(len(CONTENT)):
        flipped = bytearray(CONTENT)
        flipped[place] ^= 1 << place % 8
        for wrong in (bytes(flipped), CONTENT[:place]):
            with pytest.raises(ValueError, match=r"^a\.dfm "):
                unpacked(wrong, "a.dfm")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "sine"}, "kernel 'sine' with 3 channels: a file holds one of full, odd, cas with 1 or 3"),
        ({"channels": 4}, "with 4 channels"),
        ({"pixels": (70_000, 2)}, "an image of 2 x 70000 pixels: a file holds sides from 1 to 65535"),
        ({"width": 256}, "a network of width 256 and depth 2: a file holds both from 1 to 255"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(HEADER, **changes)
