import io
import os
import stat
import tarfile
import time
import zipfile

import pytest

from tests.data import exports
from tlkit.data.archive import left_out, opened
from tlkit.data.read_source import read_records
from tlkit.draft import draft_recipe, source_of
from tlkit.errors import DataError
from tlkit.recipe.load import load_recipe


@pytest.fixture
def folder(tmp_path):
    return exports.folders(tmp_path / "photos")


def packed(folder, kind):
    """An archive of a folder, with its name as the one folder inside."""
    place = folder.parent / f"pets.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as file:
            for item in sorted(folder.rglob("*")):
                file.write(item, item.relative_to(folder.parent))
            file.writestr("__MACOSX/photos/cat/._cat.0.jpg", b"\0\5\x16\7")
    else:
        mode = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[
            kind
        ]
        with tarfile.open(place, mode) as file:
            file.add(folder, folder.name)
    return place


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_an_archive_is_read_as_the_folder_in_it(folder, tmp_path, kind):
    archive = packed(folder, kind)
    draft = draft_recipe(archive, "tiny", tmp_path)
    assert draft.name == "pets"
    assert f"source: {{folder: pets.{kind}}}" in draft.text
    (tmp_path / "r.yaml").write_text(draft.text)
    found = read_records(load_recipe(tmp_path / "r.yaml").data.source).records
    truth = {(f.parent.name, f.read_bytes()) for f in folder.rglob("*.jpg")}
    assert {(r.label, r.read()) for r in found} == truth
    assert len(found) == len(truth)


def test_an_archive_is_known_by_content_and_unpacked_once(folder, tmp_path):
    archive = packed(folder, "zip").rename(tmp_path / "download")
    lines = []
    first = opened(archive, lines.append)
    assert opened(archive, lines.append) == first
    assert len(lines) == 1
    exports.put(folder / "cat" / "new.jpg", 0, 99)
    packed(folder, "zip").rename(archive)
    assert opened(archive) != first  # another content, another place
    assert (opened(archive / "photos" / "cat") / "new.jpg").is_file()


def test_exports_are_recognised_in_archives(tmp_path):
    exports.roboflow(tmp_path / "pets")
    archive = packed(tmp_path / "pets", "zip")
    assert source_of(archive).name == "roboflow"
    exports.coco(tmp_path / "animals")
    with zipfile.ZipFile(tmp_path / "animals.zip", "w") as file:
        for item in (tmp_path / "animals").rglob("*.*"):
            file.write(item, item.relative_to(tmp_path / "animals"))
    assert len(read_records(source_of(tmp_path / "animals.zip")).records) == 8


@pytest.mark.parametrize(
    "name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "C:\\out.jpg", "..\\o.jpg"]
)
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("cat/1.jpg", b"1")
        file.writestr(name, b"x")
    with pytest.raises(DataError, match="leads out of its folder; it was not unpacked"):
        opened(tmp_path / "x.zip")
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and f.suffix == ".jpg"]


def _tar(place, *members):
    with tarfile.open(place, "w") as file:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(value)
            elif kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = value
            file.addfile(info, io.BytesIO(value) if kind == tarfile.REGTYPE else None)
    return place


@pytest.mark.parametrize(
    "member",
    [("a/1.jpg", tarfile.SYMTYPE, "/etc/passwd"), ("a/1.jpg", tarfile.SYMTYPE, "../../secret"),
     ("a/1.jpg", tarfile.LNKTYPE, "../secret")],
)  # fmt: skip
def test_links_out_of_a_tar_are_refused(tmp_path, member):
    with pytest.raises(DataError, match="leads out"):
        opened(_tar(tmp_path / "x.tar", member))


def test_links_within_a_tar_are_files_and_the_rest_is_told(tmp_path):
    archive = _tar(
        tmp_path / "x.tar",
        ("b/2.jpg", tarfile.SYMTYPE, "../a/1.jpg"),  # before what it leads to
        ("a/1.jpg", tarfile.REGTYPE, b"one"),
        ("a/3.jpg", tarfile.LNKTYPE, "a/1.jpg"),
        ("a/4.jpg", tarfile.SYMTYPE, "gone.jpg"),
        ("a/pipe", tarfile.FIFOTYPE, ""),
    )
    root = opened(archive)
    assert {f.relative_to(root).as_posix(): f.read_bytes() for f in root.rglob("*") if f.is_file()} == {
        "a/1.jpg": b"one", "a/3.jpg": b"one", "b/2.jpg": b"one"
    }  # fmt: skip
    assert not any(f.is_symlink() for f in root.rglob("*"))
    assert sorted(left_out(archive)) == ["a/4.jpg", "a/pipe"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_one_sentence_and_leaves_nothing(tmp_path, kind, monkeypatch):
    zeros = tmp_path / "zeros.jpg"
    with open(zeros, "wb") as file:
        file.truncate(150_000_000)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as file:
            file.write(zeros, "a/1.jpg")
    else:
        with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as file:
            file.add(zeros, "a/1.jpg")
    with pytest.raises(DataError, match="as an archive bomb does; it was not unpacked"):
        opened(tmp_path / f"b.{kind}")
    cache = os.environ["TLKIT_CACHE"]
    assert sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(cache) for f in fs) == 0


def test_a_zip_that_lies_about_its_size_is_damaged(tmp_path):
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1.jpg", bytes(5000))
    data = place.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    place.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        opened(place)


def test_protected_cut_and_foreign_archives_are_one_sentence(folder, tmp_path):
    whole = packed(folder, "zip").read_bytes()
    locked = bytearray(whole)
    start = whole.index(b"PK\1\2")
    locked[start + 8] |= 1  # bit 0 of the flags in the central directory: encrypted
    (tmp_path / "locked.zip").write_bytes(locked)
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "x.rar").write_bytes(b"Rar!\x1a\7\1\0" + bytes(600))
    (tmp_path / "x.xlsx").write_bytes(whole)
    cut = packed(folder, "tar.gz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(cut[: len(cut) // 2])
    for name, message in {
        "locked.zip": "protected by a password", "cut.zip": "damaged or cut short",
        "cut.tgz": "damaged or cut short", "x.rar": "rar archive, which tlkit does not unpack",
        "x.xlsx": "spreadsheet",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=message):
            draft_recipe(tmp_path / name, "tiny", tmp_path)


def test_names_in_utf8_without_a_mark_and_with_backslashes_are_as_meant(tmp_path):
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w") as file:
        file.writestr("Käfer\\1.jpg", b"1")
    data = bytearray(place.read_bytes())
    for mark in (b"PK\3\4", b"PK\1\2"):  # as macOS's Archive Utility writes them: flag 11 not set
        at = data.index(mark) + (6 if mark == b"PK\3\4" else 8)
        data[at : at + 2] = b"\0\0"
    place.write_bytes(data)
    assert [f.relative_to(opened(place)).as_posix() for f in opened(place).rglob("*.jpg")] == [
        "Käfer/1.jpg"
    ]


def test_a_cache_that_cannot_be_written_is_one_sentence(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="Set TLKIT_CACHE"):
        opened(packed(folder, "zip"))


def test_two_processes_unpack_the_same_archive_without_harm(folder, tmp_path):
    import concurrent.futures

    archive = packed(folder, "zip")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _: opened(archive), range(8)))
    (place,) = places
    assert len(list(place.rglob("*.jpg"))) == 8
    assert stat.S_ISDIR(place.stat().st_mode)
    assert time.time() - place.parent.stat().st_mtime < 60
