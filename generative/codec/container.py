"""The file of a coded image: what its network looks like, a step and a scale for each layer, coded numbers, a checksum.

| bytes | what |
|---|---|
| 3 | ``DFM`` |
| 1 | version of the format, 1 |
| 1 | flags: bits 0 and 1 the kernel, by its place in ``KERNELS``; bit 2 a layer adds its input; bit 3 in colour |
| 2, 2 | width and height of the image in pixels, little-endian |
| 1, 1 | width and depth of the network |
| depth + 1 | a step code a layer |
| depth + 1 | a scale code a layer |
| 1 to 5 | length of the payload, 7 bits a byte, the lowest first; the highest bit says that another byte follows |
| length | payload |
| 4 | CRC-32 of all before it, little-endian |
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAGIC = b"DFM"
VERSION = 1
KERNELS = ("full", "odd", "cas")  # in the order of their numbers in files, which never changes
FIXED = struct.Struct("<3sBBHHBB")
CHECKSUM = struct.Struct("<I")
MOST_PIXELS = 2**16 - 1  # of a side


@dataclass(frozen=True)
class Header:
    """All of a file but its coded numbers. ``pixels``: height and width; ``width`` and ``depth`` are the network's."""

    kernel: str
    residual: bool
    channels: int
    pixels: tuple[int, int]
    width: int
    depth: int
    steps: tuple[int, ...]
    scales: tuple[int, ...]

    def __post_init__(self) -> None:
        """ValueError for what a file cannot hold."""
        if self.kernel not in KERNELS or self.channels not in (1, 3):
            raise ValueError(
                f"kernel {self.kernel!r} with {self.channels} channels: a file holds one of {', '.join(KERNELS)} with 1 or 3"
            )
        if not all(1 <= side <= MOST_PIXELS for side in self.pixels):
            height, width = self.pixels
            raise ValueError(f"an image of {width} x {height} pixels: a file holds sides from 1 to {MOST_PIXELS}")
        if not (1 <= self.width < 256 and 1 <= self.depth < 256):
            raise ValueError(f"a network of width {self.width} and depth {self.depth}: a file holds both from 1 to 255")
        assert len(self.steps) == len(self.scales) == self.depth + 1


def packed(header: Header, payload: bytes) -> bytes:
    """The content of a file."""
    flags = KERNELS.index(header.kernel) | header.residual << 2 | (header.channels == 3) << 3
    height, width = header.pixels
    fixed = FIXED.pack(MAGIC, VERSION, flags, width, height, header.width, header.depth)
    body = fixed + bytes(header.steps) + bytes(header.scales) + length_bytes(len(payload)) + payload
    return body + CHECKSUM.pack(zlib.crc32(body))


def unpacked(content: bytes, name: str) -> tuple[Header, bytes]:
    """Header and payload of a file; ValueError, which names it, for one that is foreign, newer, cut short or changed."""
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is no file of this codec: it does not begin with {MAGIC.decode()}")
    if len(content) > len(MAGIC) and content[len(MAGIC)] > VERSION:
        raise ValueError(
            f"{name} is of format version {content[len(MAGIC)]}, and this program reads up to {VERSION}: take a newer program"
        )
    try:
        start = FIXED.size + 2 * (content[FIXED.size - 1] + 1)
        length, start = length_at(content, start)
    except IndexError as error:
        raise ValueError(f"{name} was cut short: it ends in its header") from error
    told = start + length + CHECKSUM.size
    if len(content) < told:
        raise ValueError(f"{name} was cut short: it has {len(content)} bytes and says that it has {told}")
    if len(content) > told:
        raise ValueError(f"{name} has {len(content) - told} bytes behind its end: something was added to it")
    body = content[: -CHECKSUM.size]
    if CHECKSUM.unpack(content[-CHECKSUM.size :]) != (zlib.crc32(body),):
        raise ValueError(f"{name} was changed: its checksum does not match")
    return read_header(body, name), body[start:]


def read_header(content: bytes, name: str) -> Header:
    """The header of a whole file; ValueError where no writer of this version makes such a one."""
    _, _, flags, width, height, network_width, depth = FIXED.unpack_from(content)
    layers = depth + 1
    steps, scales = (tuple(content[at : at + layers]) for at in (FIXED.size, FIXED.size + layers))
    if flags >> 4 or flags & 3 >= len(KERNELS):
        raise ValueError(
            f"{name} has flags {flags}, which version {VERSION} does not know: it was written by another program"
        )
    try:
        return Header(
            kernel=KERNELS[flags & 3],
            residual=bool(flags & 4),
            channels=3 if flags & 8 else 1,
            pixels=(height, width),
            width=network_width,
            depth=depth,
            steps=steps,
            scales=scales,
        )
    except ValueError as error:
        raise ValueError(f"{name} was written by another program: {error}") from error


def length_bytes(length: int) -> bytes:
    """7 bits a byte, the lowest first, the highest bit set where more follow."""
    found = bytearray()
    while length >= 128:
        found.append(length & 127 | 128)
        length >>= 7
    return bytes([*found, length])


def length_at(content: bytes, start: int) -> tuple[int, int]:
    """The length that stands at ``start``, of at most five bytes, and the place behind it. IndexError where it is cut short."""
    length = 0
    for place in range(5):
        byte = content[start + place]
        length |= (byte & 127) << 7 * place
        if byte < 128:
            break
    return length, start + place + 1


def overhead(depth: int, payload: int) -> int:
    """The bytes of a file beside its payload of so many bytes."""
    return FIXED.size + 2 * (depth + 1) + len(length_bytes(payload)) + CHECKSUM.size
