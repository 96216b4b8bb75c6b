"""Which files are images, by their names, and what is said of those that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# All that Pillow reads but stubs, which need a program beside it, and tables that may hold anything (.hdf, .grib ...)
SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".webp", ".avif", ".avifs", ".gif", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".icb", ".vda",
    ".vst", ".qoi", ".pcx", ".dcx", ".sgi", ".bw", ".rgb", ".rgba", ".ras", ".psd", ".dds", ".ico", ".cur", ".icns", ".im",
    ".msp", ".xbm", ".xpm", ".fit", ".fits", ".fli", ".flc", ".pcd", ".pxr", ".iim", ".blp", ".ftc", ".ftu", ".gbr",
}  # fmt: skip
PREVIEWS = {"@eaDir"}  # of Synology's disks
PACKED = {".zip", ".tar", ".tgz", ".gz", ".xz", ".txz", ".bz2", ".tbz2"}
DATABASE = {".mdb", ".lmdb"}
# How sets are handed around that no library of ours reads, and what to do about it
UNPACK = "write its images into a folder, with a metadata.csv of the columns file_name and label beside them"
TABLES = {
    ".parquet": f"is a table of Parquet, which nothing installed here reads: {UNPACK}",
    ".arrow": f"is a table of Arrow, which nothing installed here reads: {UNPACK}",
    ".tfrecord": f"holds TensorFlow's records, which nothing installed here reads: {UNPACK}",
    ".tfrecords": f"holds TensorFlow's records, which nothing installed here reads: {UNPACK}",
    ".h5": f"is a table of HDF5, which nothing installed here reads: {UNPACK}",
    ".hdf5": f"is a table of HDF5, which nothing installed here reads: {UNPACK}",
    ".npz": "is an array file, which needs no preparation: give it to datamodule=arrays",
    ".npy": "is an array file: save it as images in an .npz, which datamodule=arrays reads without preparation",
}


def is_image(path: Path) -> bool:
    """By its suffix; what macOS puts beside images in its zips (``__MACOSX/._name.png``) and hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_hidden(name: str) -> bool:
    return name in PREVIEWS or (name.startswith(".") and name not in (".", ".."))


def hidden_folder(name: str) -> str | None:
    """The topmost hidden folder that a file lies in, with its path and a last ``/``."""
    parts = name.split("/")
    depth = next((depth for depth, part in enumerate(parts[:-1]) if is_hidden(part)), None)
    return None if depth is None else "/".join(parts[: depth + 1]) + "/"


def kind_of_file(name: str) -> str:
    """For a count of files that are passed over: ``.txt``, or words."""
    if name.endswith("/"):
        return f"folders {name.rstrip('/').rpartition('/')[2]}"
    file = name.rpartition("/")[2]
    if file.startswith("._"):
        return "of macOS (._)"
    if file.startswith("."):
        return "hidden"
    return Path(file).suffix.lower() or "with no suffix"


def count_kinds(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kind_of_file(name) for name in names).items()))


def counts_in_words(passed_over: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in passed_over.items())
