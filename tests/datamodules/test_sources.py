"""Images as they are published: every kind of folder and archive, and what may be wrong with one."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from PIL import Image

from datamodules.sources import Source, open_source


def encoded(number: int = 0, kind: str = "PNG", mode: str = "RGB", side: int = 8) -> bytes:
    shape = (side, side, 3) if mode == "RGB" else (side, side)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, np.uint8)).save(file, kind)
    return file.getvalue()


def write_folder(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(number))
    return folder


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


def tar_of(folder: Path, path: Path) -> Path:
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as archive:
        archive.add(folder, ".")
    return path


def lmdb_of(folder: Path, path: Path, kind: str = "WEBP") -> Path:
    """As LSUN publishes it, without its lock."""
    with lmdb.open(str(path), map_size=2**24) as database, database.begin(write=True) as transaction:
        for number in range(len(list(folder.rglob("*.png")))):
            transaction.put(f"{number:040x}".encode(), encoded(number, kind))
    (path / "lock.mdb").unlink()
    return path


def labels_of(source: Source) -> dict[str, tuple[str, int]]:
    return {entry.name: (entry.split, entry.label) for entry in source.entries()}


def every_kind(folder: Path, target: Path) -> list[Path]:
    return [folder, zip_of(folder, target / "a.zip"), tar_of(folder, target / "a.tar"), tar_of(folder, target / "a.xz")]


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "1.png", "0.png")
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert source.classes == []
        assert labels_of(source) == {"0.png": ("train", -1), "1.png": ("train", -1)}
        assert source.content("0.png") == encoded(1)


def test_class_folders(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "shared/dog/deep/0.png", "shared/cat/0.png", "shared/cat/1.JPEG")
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert source.classes == ["cat", "dog"]
        assert labels_of(source) == {
            "shared/dog/deep/0.png": ("train", 1), "shared/cat/0.png": ("train", 0), "shared/cat/1.JPEG": ("train", 0),
        }  # fmt: skip
        assert open_source(path, folders_are_classes=False).classes == []


def test_one_class_is_none(tmp_path: Path) -> None:
    assert open_source(write_folder(tmp_path, "cat/0.png", "cat/1.png")).classes == []


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    assert open_source(write_folder(tmp_path, "10/0.png", "9/0.png", "1/0.png")).classes == ["1", "9", "10"]


@pytest.mark.parametrize("root", ["", "cifar10_jpeg/", "Data/CLS-LOC/"])
def test_splits_above_classes(tmp_path: Path, root: str) -> None:
    names = ["train/airplane/0001.png", "train/cat/0001.png", "validation/cat/0001.png", "Test/airplane/0001.png"]
    write_folder(tmp_path / "a", *(root + name for name in names))
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert (source.classes, source.splits) == (["airplane", "cat"], ["test", "train", "val"])
        found = labels_of(source)
        assert [found[root + name] for name in names] == [("train", 0), ("train", 1), ("val", 1), ("test", 0)]


def test_splits_without_classes(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path, "train/0.png", "train/1.png", "test/0.png"))
    assert (source.classes, source.splits) == ([], ["test", "train"])
    assert open_source(write_folder(tmp_path / "one", "test/0.png")).splits == ["test"]


@pytest.mark.parametrize("outside", ["0.png", "extra/0.png"])
def test_images_outside_splits_or_classes_are_refused(tmp_path: Path, outside: str) -> None:
    write_folder(tmp_path / "a", "train/cat/0.png", "test/cat/0.png", outside)
    with pytest.raises(ValueError, match=f"has the splits test, train, and images outside them, such as {outside}"):
        open_source(tmp_path / "a")
    write_folder(tmp_path / "b", "train/cat/0.png", "train/dog/0.png", "test/0.png")
    with pytest.raises(
        ValueError,
        match=r"has classes in train, and the images of test lie in no class folders, such as test/0\.png: sort them into "
        r"class folders, put the list of their labels beside them \(LOC_val_solution\.csv, .*\), or give --no-classes",
    ):
        open_source(tmp_path / "b")
    write_folder(tmp_path / "c", "cat/0.png", "dog/0.png", "0.png")
    with pytest.raises(ValueError, match=r"has class folders, and images outside them, such as 0\.png"):
        open_source(tmp_path / "c")
    assert open_source(tmp_path / "b", folders_are_classes=False).classes == []


def stylegan(folder: Path, labels: Any, root: str = "") -> Path:
    write_folder(folder, *(f"{root}0000{i // 2}/img0000000{i}.png" for i in range(4)))
    (folder / root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


@pytest.mark.parametrize("root", ["", "ffhq/"])
def test_the_label_file_of_stylegan_decides_alone(tmp_path: Path, root: str) -> None:
    labels = [[f"0000{i // 2}/img0000000{i}.png", label] for i, label in enumerate([6, 0, 6, 2])]
    stylegan(tmp_path / "a", labels, root)
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert source.classes == [str(label) for label in range(7)]
        assert sorted(labels_of(source).items()) == [(root + str(name), ("train", label)) for name, label in labels]
        assert source.passed_over == {}


def test_numbered_folders_of_stylegan_are_no_classes(tmp_path: Path) -> None:
    stylegan(tmp_path / "a", None)
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert source.classes == []
        assert set(labels_of(source).values()) == {("train", -1)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", r"dataset\.json in \S+ is no list of labels"),
        ("\x80", r"dataset\.json in \S+ is no list of labels"),
        ("[]", "is no list of labels"),
        ("{}", 'it should be .+"labels": null.+ mend it or take it away'),
        ('{"labels": 3}', "is no list of labels"),
        ('{"labels": [["0.png"]]}', "is no list of labels"),
        (
            '{"labels": [["0.png", 0], ["1.png", 0], ["2.png", 0]]}',
            r"names 1 images that are not there, such as 2\.png",
        ),
        ('{"labels": [["0.png", 0]]}', r"gives no label to 1 images, such as 1\.png"),
        ('{"labels": [["0.png", 0], ["1.png", -1]]}', r"gives 1\.png the label -1: classes are numbers from 0"),
        ('{"labels": [["0.png", 0], ["1.png", [0, 1]]]}', r"gives 1\.png the label \[0, 1\]"),
        ('{"labels": [["0.png", 0], ["1.png", true]]}', r"gives 1\.png the label True"),
        ('{"labels": [["0.png", 0], ["1.png", 1000000000000]]}', r"gives 1\.png the label 1000000000000"),
    ],
)
def test_a_label_file_that_does_not_fit_is_refused(tmp_path: Path, content: str, message: str) -> None:
    write_folder(tmp_path, "0.png", "1.png")
    (tmp_path / "dataset.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_lmdb_of_lsun_without_its_lock(tmp_path: Path, kind: str) -> None:
    path = lmdb_of(write_folder(tmp_path / "a", "0.png", "1.png"), tmp_path / "bedroom_val_lmdb", kind)
    for given in (path, path / "data.mdb"):
        source = open_source(given)
        assert labels_of(source) == {f"{number:040x}": ("train", -1) for number in range(2)}
        assert source.content(f"{1:040x}") == encoded(1, kind)
        source.close()
    assert not (path / "lock.mdb").exists()


def test_a_large_lmdb_opens(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), map_size=2**26) as database, database.begin(write=True) as transaction:
        for number in range(24):
            transaction.put(b"%d" % number, bytes(2**20))
    assert len(open_source(tmp_path).content("23")) == 2**20


def test_a_damaged_lmdb_is_refused(tmp_path: Path) -> None:
    path = lmdb_of(write_folder(tmp_path / "a", *(f"{i}.png" for i in range(200))), tmp_path / "b") / "data.mdb"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"b is cut short: \d+ bytes are needed; fetch it again"):
        open_source(path.parent)
    for damaged in (b"", b"text", bytes(len(content))):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"b is no readable LMDB \(.+\): fetch it again"):
            open_source(path.parent)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = zip_of(write_folder(tmp_path / "a", "0.png", "1.png"), tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(ValueError, match=r"a\.zip is damaged or cut short: fetch it again"):
        open_source(path)
    path.write_bytes(content[:-90] + bytes(20) + content[-70:])
    with pytest.raises(ValueError, match=r"a\.zip is damaged \(.+\): fetch it again"):
        open_source(path)


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    path = zip_of(write_folder(tmp_path / "a", "0.png"), tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the mark of an encrypted file
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"0\.png in \S+a\.zip cannot be read: .*encrypted"):
        open_source(path).content("0.png")


@pytest.mark.parametrize("suffix", ["tar", "xz", "gz", "bz2"])
def test_a_damaged_tar_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tar_of(write_folder(tmp_path / "a", *(f"{i}.png" for i in range(20))), tmp_path / f"a.{suffix}")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2 + 100], content[:50], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"a\.{suffix} is damaged or cut short"):
            open_source(path)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_with_a_damaged_header_is_refused(tmp_path: Path, form: int) -> None:
    write_folder(tmp_path / "a", *(f"{i}.png" for i in range(20)))
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        archive.add(tmp_path / "a", ".")
    content = bytearray((tmp_path / "a.tar").read_bytes())
    place = content.index(b"./10.png")
    content[place : place + 4] = b"some"
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tar is damaged or cut short \((bad checksum|no header at byte \d+)\)"):
        open_source(tmp_path / "a.tar")


def test_a_second_name_in_a_tar_is_an_image_too(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "0.png")
    os.link(tmp_path / "a/0.png", tmp_path / "a/1.png")
    source = open_source(tar_of(tmp_path / "a", tmp_path / "a.tar"))
    assert sorted(source.names) == ["0.png", "1.png"]
    assert source.content("0.png") == source.content("1.png") == encoded(0)


def test_linked_folders_are_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", "0.png")
    write_folder(tmp_path / "a", "cat/0.png")
    (tmp_path / "a/dog").symlink_to(tmp_path / "elsewhere")
    assert open_source(tmp_path / "a").classes == ["cat", "dog"]
    (tmp_path / "a/cat/loop").symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match="loop is a link to a folder that it lies in"):
        open_source(tmp_path / "a")


def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, "cat/0.png", "dog/0.png")
    look = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    with pytest.raises(ValueError, match="dog cannot be read: Permission denied; give the right to read it"):
        open_source(tmp_path)


def test_other_files_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "0.png")
    for name in ("a.txt", "b.TXT", "._0.png", "LICENSE"):
        (tmp_path / "a" / name).write_text("text")
    for path in every_kind(tmp_path / "a", tmp_path):
        assert open_source(path).passed_over == {".txt": 2, "of macOS (._)": 1, "with no suffix": 1}


def test_what_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"none holds no images$"):
        open_source(tmp_path / "none")
    (tmp_path / "none/a.txt").write_text("text")
    with pytest.raises(ValueError, match=r"none holds no images but files: 1 \.txt$"):
        open_source(tmp_path / "none")
    (tmp_path / "none/data").write_text("text")
    shutil.move(tmp_path / "none/data", tmp_path / "none/x.mdb")
    with pytest.raises(ValueError, match="unpack the database and give its folder"):
        open_source(zip_of(tmp_path / "none", tmp_path / "lsun.zip"))
    with pytest.raises(ValueError, match=r"there is no \S+missing"):
        open_source(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"a\.txt is neither a folder, a zip, a tar archive nor an LMDB"):
        open_source(tmp_path / "none/a.txt")


def test_hidden_folders_are_passed_over_and_counted(tmp_path: Path) -> None:
    names = ["cats/0.png", "dogs/0.png", ".ipynb_checkpoints/0.png", "cats/.ipynb_checkpoints/deep/1.png", ".git/x"]
    write_folder(tmp_path / "a", *names, "dogs/@eaDir/0.png/thumb.png", "dogs/.draft.png")
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert source.classes == ["cats", "dogs"]
        assert sorted(source.names) == names[:2]
        assert source.passed_over == {
            "folders .git": 1, "folders .ipynb_checkpoints": 2, "folders @eaDir": 1, "hidden": 1,
        }  # fmt: skip
    write_folder(tmp_path / ".hidden", "cats/0.png", "dogs/0.png")
    assert open_source(tmp_path / ".hidden").classes == ["cats", "dogs"], "what is given by name is meant"


def test_a_class_called_train(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "bus/0.png", "person/0.png", "train/0.png")
    with pytest.raises(
        ValueError, match=r"images outside them, such as bus/0\.png: .* give --no-splits if these folders"
    ):
        open_source(tmp_path / "a")
    source = open_source(tmp_path / "a", folders_are_splits=False)
    assert (source.classes, source.splits) == (["bus", "person", "train"], ["train"])
    source = open_source(tmp_path / "a", folders_are_splits=False, folders_are_classes=False)
    assert (source.classes, len(source)) == ([], 3)
    write_folder(tmp_path / "b", "set/train/0.png", "set/test/0.png")
    assert open_source(tmp_path / "b", folders_are_splits=False).classes == ["test", "train"]


WNIDS = ["n01440764", "n01443537"]
FLAT = [f"ILSVRC2012_val_0000000{i}.JPEG" for i in range(3)]
KAGGLE = "".join(f"{FLAT[i][:-5]},{WNIDS[i % 2]} 1 2 3 4 \n" for i in range(3))
NOT_THERE = "ILSVRC2012_val_00000009,n01440764 1 2 3 4\n"  # a photo that was not taken along


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("LOC_val_solution.csv", f"ImageId,PredictionString\n{KAGGLE}{NOT_THERE}"),
        ("val/val_annotations.txt", "".join(f"{FLAT[i]}\t{WNIDS[i % 2]}\t0\t0\t62\t62\n" for i in range(3))),
        ("val/metadata.csv", "file_name,label\n" + "".join(f"{FLAT[i]},{WNIDS[i % 2]}\n" for i in range(3))),
        (
            "val/metadata.jsonl",
            "".join(json.dumps({"file_name": FLAT[i], "label": WNIDS[i % 2]}) + "\n" for i in range(3)),
        ),
    ],
)
def test_labels_of_a_flat_validation_folder(tmp_path: Path, file: str, content: str) -> None:
    write_folder(tmp_path / "a", *(f"train/{wnid}/{wnid}_1.JPEG" for wnid in WNIDS), *(f"val/{name}" for name in FLAT))
    (tmp_path / "a" / file).write_text(content)
    for path in every_kind(tmp_path / "a", tmp_path):
        source = open_source(path)
        assert (source.classes, source.passed_over) == (WNIDS, {})
        found = labels_of(source)
        assert [found[f"val/{name}"] for name in FLAT] == [("val", 0), ("val", 1), ("val", 0)]
        assert [found[f"train/{wnid}/{wnid}_1.JPEG"] for wnid in WNIDS] == [("train", 0), ("train", 1)]
        assert source.notes == [f"labels of 3 images are read from {file}"]


def test_labels_of_tiny_imagenet(tmp_path: Path) -> None:
    write_folder(tmp_path, *(f"train/{wnid}/images/{wnid}_0.JPEG" for wnid in WNIDS), "val/images/val_0.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text(f"val_0.JPEG\t{WNIDS[1]}\t0\t32\t44\t62\n")
    source = open_source(tmp_path)
    assert (source.classes, labels_of(source)["val/images/val_0.JPEG"]) == (WNIDS, ("val", 1))


def shards(folder: Path, *, name: str) -> Path:
    """As WebDataset writes them: the same names in every shard, the class in ``.cls``."""
    for split in ("train", "val"):
        for number in range(2):
            path = folder / name.format(split=split, number=number)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(path, "w") as archive:
                for i in range(3):
                    for suffix, content in (("png", encoded(i)), ("cls", f"{i}\n".encode()), ("json", b"{}")):
                        file = tarfile.TarInfo(f"{i:05d}.{suffix}")
                        file.size = len(content)
                        archive.addfile(file, io.BytesIO(content))
    return folder


@pytest.mark.parametrize(
    "name", ["{split}-{number:06d}.tar", "imagenet1k-{split}-{number:04d}.tar", "{split}/{number:05d}.tar"]
)
def test_shards_are_one_set(tmp_path: Path, name: str) -> None:
    source = open_source(shards(tmp_path / "a", name=name))
    assert (source.classes, source.splits, len(source)) == (["0", "1", "2"], ["train", "val"], 12)
    for split in ("train", "val"):
        for number in range(2):
            place = f"{name.format(split=split, number=number)}/00002.png"
            assert labels_of(source)[place] == (split, 2)
            assert source.content(place) == encoded(2)
    assert source.passed_over == {".json": 12}
    source.close()
    assert open_source(tmp_path / "a" / name.format(split="val", number=0)).classes == ["0", "1", "2"], "one of them"


def test_an_archive_for_each_class(tmp_path: Path) -> None:
    (tmp_path / "a/train").mkdir(parents=True)
    for wnid in WNIDS:
        tar_of(write_folder(tmp_path / wnid, f"{wnid}_0.JPEG", f"{wnid}_1.JPEG"), tmp_path / f"a/train/{wnid}.tar")
    (tmp_path / "a/list.txt").write_text("text")
    source = open_source(tmp_path / "a")
    assert (source.classes, source.splits, source.passed_over) == (WNIDS, ["train"], {".txt": 1})
    assert labels_of(source)[f"train/{WNIDS[1]}.tar/{WNIDS[1]}_0.JPEG"] == ("train", 1)
    assert source.notes == [f"{tmp_path / 'a'} holds 2 archives, which are read as one set"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "dataset.json",
            '{"labels": [["0.png", 0], ["1.png", 1], ["0.png", 1]]}',
            r"dataset\.json .* lists 0\.png twice",
        ),
        ("metadata.csv", "file_name,label\n0.png,a\n1.png,b\n0.png,b\n", r"metadata\.csv .* lists 0\.png twice: take"),
        ("metadata.csv", "file_name,label\n0.png,3\n", r"metadata\.csv .* give no label to 1 images, such as 1\.png"),
        ("metadata.csv", "file_name,label\n2.png,a\n", r"names 1 images that are not there, such as 2\.png"),
        ("metadata.csv", "file_name,label\n0.png,-3\n1.png,2\n", r"gives 0\.png the label '-3': classes are names, or"),
        ("metadata.csv", "file_name,label\n0.png,\n1.png,2\n", r"gives 0\.png the label ''"),
        ("metadata.csv", "name,label\n0.png,1\n", r"is no table with the columns file_name and label"),
        (
            "metadata.csv",
            "file_name,label\n0.png,a\n1.png,2\n",
            r"has numbers as labels .*, and classes called a: give",
        ),
        ("metadata.csv", "\udcff", r"metadata\.csv in \S+ is no text"),
        ("metadata.jsonl", '{"file_name": "0.png", "label": [1, 2]}\n', r"gives 0\.png the label \[1, 2\]"),
        ("metadata.jsonl", "{\n", "is no table with the columns file_name and label"),
        ("0.cls", "two\n", r"0\.cls in \S+ give no label to 1 images, such as 1\.png"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, file: str, content: str, message: str) -> None:
    write_folder(tmp_path / "a", "0.png", "1.png")
    (tmp_path / "a" / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / "a")


def test_captions_are_no_labels(tmp_path: Path) -> None:
    write_folder(tmp_path, "0.png", "1.png")
    (tmp_path / "metadata.csv").write_text('file_name,text\n0.png,"a cat, asleep"\n1.png,a dog\n')
    (tmp_path / "0.txt").write_text("a cat")
    source = open_source(tmp_path)
    assert (source.classes, source.passed_over) == ([], {".csv": 1, ".txt": 1})


def test_classes_that_training_never_shows_are_said(tmp_path: Path) -> None:
    labels = [[f"0000{i // 2}/img0000000{i}.png", label] for i, label in enumerate([6, 0, 6, 2])]
    assert open_source(stylegan(tmp_path / "a", labels)).notes == [
        "labels of 4 images are read from dataset.json", "4 of 7 classes have no image in train: 1, 3, 4, 5",
    ]  # fmt: skip
    write_folder(tmp_path / "b", "train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/owl/0.png")
    assert open_source(tmp_path / "b").notes == ["1 of 3 classes have no image in train: owl"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train.parquet", "is a table of Parquet, which nothing installed here reads: write its images into a folder"),
        ("set.tfrecords", "holds TensorFlow's records, which nothing installed here reads"),
        ("set.npz", "is an array file, which needs no preparation: give it to datamodule=arrays"),
    ],
)
def test_tables_are_refused_with_the_remedy(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=f"{name} {message}"):
        open_source(tmp_path / "a" / name)
    with pytest.raises(ValueError, match=f"a holds no images but files: 1 .+; a .+ {message}"):
        open_source(tmp_path / "a")
