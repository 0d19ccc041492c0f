"""Folders as people have them: what is a class, a split, or neither; every file accounted for."""

import io
import os
import pathlib
import shutil
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies

from tests.conftest import draw
from tests.data.test_sources import put, read
from tlkit.data.account import FileAccount
from tlkit.data.read_file import read_file
from tlkit.draft import draft_recipe
from tlkit.errors import DataError, UserError


def tree(root: pathlib.Path, *names: str) -> pathlib.Path:
    """Pictures of these names; one of `x*3` three of them."""
    for name in names:
        name, _, count = name.partition("*")
        for index in range(int(count or 1)):
            put(root / name / f"{index}.png", seed=index)
    return root


def labels(data) -> set[str]:
    return {record.label for record in data.records}


def by_split(data) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for record in data.records:
        found.setdefault(record.split, set()).add(record.label)
    return found


def files_in(root: pathlib.Path) -> int:
    """As `find -type f -o -type l -o -type p` counts, links to folders not followed."""
    return sum(len(files) for _, _, files in os.walk(root))


def account(data) -> FileAccount:
    return FileAccount({"images": len(data.records)}, data.ignored)


BOTH = {"train": {"cat", "dog"}, "test": {"cat", "dog"}}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("train_data", "test_data"),
        ("Train Images", "Test Images"),
        ("trainset", "testset"),
        ("TrainImages", "TestImages"),
        ("seg_train", "seg_test"),
        ("train2017", "test2017"),
        ("images-train", "images-test"),
        ("Training", "Testing"),
        ("训练集", "测试集"),
    ],
)
def test_splits_are_known_by_their_words(tmp_path, train, test):
    tree(tmp_path, f"{train}/cat", f"{train}/dog", f"{test}/cat", f"{test}/dog")
    assert by_split(read("folder", path=str(tmp_path))) == BOTH


@pytest.mark.parametrize("name", ["validate", "eval", "dev", "valid", "val_data", "validation_set"])
def test_validation_has_many_names(tmp_path, name):
    tree(tmp_path, "train/cat", "train/dog", f"{name}/cat", f"{name}/dog")
    assert by_split(read("folder", path=str(tmp_path)))["val"] == {"cat", "dog"}


@pytest.mark.parametrize("name", ["steam_train", "test tube", "bullet train", "value", "trains"])
def test_a_class_whose_name_holds_such_a_word_is_a_class(tmp_path, name):
    data = read("folder", path=str(tree(tmp_path, name, "dog")))
    assert labels(data) == {name, "dog"}


@pytest.mark.parametrize(
    "names",
    [("train", "test"), ("train", "valid"), ("training_set", "test_set"), ("Train Images", "eval")],
)
def test_images_flat_in_split_folders_are_no_classes(tmp_path, names):
    with pytest.raises(DataError, match=r"named like a split.*without class folders"):
        read("folder", path=str(tree(tmp_path, *names)))


@pytest.mark.parametrize(
    "names",
    [("fold1", "fold2"), ("fold_0", "fold_1", "fold_2"), ("public_test", "private_test"),
     ("labeled", "unlabeled"), ("Labelled data", "Unlabelled data"), ("images", "masks"),
     ("part1", "part2"), ("raw", "augmented"), ("input", "gt"), ("train/images", "train/masks", "test/images")],
)  # fmt: skip
def test_parts_and_kinds_of_data_are_no_classes_until_someone_says_so(tmp_path, names):
    tree(tmp_path, *names)
    with pytest.raises(DataError, match="named like"):
        read("folder", path=str(tmp_path))
    with pytest.raises(DataError, match="named like"):
        draft_recipe(tmp_path, "tiny", tmp_path)
    if not any("/" in name for name in names):
        assert labels(read("folder", path=str(tmp_path), depth=1)) == set(names)


def test_classes_in_parts_are_asked_about(tmp_path):
    tree(tmp_path, "fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog")
    with pytest.raises(DataError, match="If the classes lie in them: depth: 2"):
        read("folder", path=str(tmp_path))
    assert labels(read("folder", path=str(tmp_path), depth=2)) == {"cat", "dog"}


@pytest.mark.parametrize(
    "names", [("mask", "no_mask"), ("class_1", "class_2"), ("1", "2"), ("label_0", "label_1"),
              ("raw", "cooked")]
)  # fmt: skip
def test_classes_called_by_such_words_are_classes(tmp_path, names):
    assert labels(read("folder", path=str(tree(tmp_path, *names)))) == set(names)


def test_a_part_among_classes_is_said(tmp_path):
    data = read("folder", path=str(tree(tmp_path, "cat", "dog", "unlabeled")))
    assert "'unlabeled' is taken for a class" in data.notes


@pytest.mark.parametrize("place", ["", "train/", "photos/train/", "images/", "pets/"])
def test_classes_in_the_names_of_files_are_hinted_at_and_not_invented(tmp_path, place):
    for name in ("Abyssinian", "american_bulldog", "Bengal"):
        for number in (1, 22, 103):
            put(tmp_path / place / f"{name}_{number}.jpg")
    with pytest.raises(
        DataError, match=r"classes? in their names: Abyssinian, american_bulldog, Bengal"
    ):
        draft_recipe(tmp_path, "tiny", tmp_path)


def test_a_class_without_an_image_is_said_by_init(tmp_path):
    tree(tmp_path, "cat*3", "dog*3")
    (tmp_path / "owl").mkdir()
    draft = draft_recipe(tmp_path, "tiny", tmp_path)
    assert any("no image in class 'owl'" in line for line in draft.lines)
    assert "# no image in class 'owl'" in draft.text


def test_a_list_beside_flat_images_is_pointed_at(tmp_path):
    tree(tmp_path, "train", "test")
    (tmp_path / "labels.csv").write_text("id,label\n0,cat\n")
    with pytest.raises(DataError, match=r"labels may be in labels\.csv"):
        read("folder", path=str(tmp_path))


def test_a_flat_test_folder_beside_a_train_folder_with_classes_is_said(tmp_path):
    data = read("folder", path=str(tree(tmp_path, "train/cat*2", "train/dog*2", "test*3")))
    assert by_split(data) == {"train": {"cat", "dog"}}
    assert {item.reason for item in data.ignored} == {"lies in test, which has no class folders"}
    assert not account(data).too_many_lost  # they have no label to be lost


def test_a_folder_of_a_split_is_never_a_class_among_others(tmp_path):
    tree(tmp_path, "cat", "dog", "test")
    with pytest.raises(DataError, match="test is named like a split, and cat, dog are not"):
        read("folder", path=str(tmp_path))
    tree(tmp_path / "deep", "train/cat", "train/dog", "train/val")
    with pytest.raises(DataError, match="val is named like a split"):
        read("folder", path=str(tmp_path / "deep" / "train"))
    with pytest.raises(DataError, match="val in train is named like a split, where class folders"):
        read("folder", path=str(tmp_path / "deep"))


def test_one_name_of_two_splits_is_refused(tmp_path):
    tree(tmp_path, "train/cat", "train/dog", "val_test/cat", "val_test/dog")
    with pytest.raises(DataError, match="'val_test' names two splits, test and val"):
        read("folder", path=str(tmp_path))


@pytest.mark.parametrize("deep", ["zip2", "a/b/c", "data set"])
def test_class_folders_one_too_deep_are_found_and_said(tmp_path, deep):
    tree(tmp_path, f"{deep}/cat", f"{deep}/dog")
    data = read("folder", path=str(tmp_path))
    assert labels(data) == {"cat", "dog"}
    assert data.records[0].name == f"{deep}/cat/0.png"
    assert data.notes == (f"the class folders lie deeper, in {deep}",)


def test_split_folders_one_too_deep_are_found(tmp_path):
    tree(tmp_path, "in/train/train/cat", "in/train/train/dog", "in/test/cat", "in/test/dog")
    (tmp_path / "in" / "readme.md").write_text("words")
    data = read("folder", path=str(tmp_path))
    assert by_split(data) == BOTH
    assert data.notes == (
        "the split folders lie deeper, in in",
        "the class folders of train lie deeper, in in/train/train",
    )


def test_splits_inside_of_class_folders_are_splits(tmp_path):
    tree(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test")
    assert by_split(read("folder", path=str(tmp_path))) == BOTH


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("animal/cat", "animal/dog", "plant/rose"), "'animal' holds no pictures of its own"),
        (("cat", "dog/husky", "dog/collie"), "'dog' holds no pictures of its own"),
        (("cat", "dog", "dog/cat"), "a folder 'cat' that is named like a class"),
        (("cat", "dog", "dog/test"), "a folder 'test' that is named like a split"),
        (("cat", "dog", "copy/cat", "copy/dog"), "'copy' holds no pictures of its own"),
    ],
)
def test_a_class_folder_that_holds_class_folders_is_asked_about(tmp_path, names, found):
    tree(tmp_path, *names)
    with pytest.raises(DataError, match=found) as raised:
        read("folder", path=str(tmp_path))
    assert "depth: 1" in str(raised.value) and "depth: 2" in str(raised.value)


def test_depth_says_which_folders_are_the_classes(tmp_path):
    tree(tmp_path, "animal/cat", "animal/dog", "plant/rose", "plant/cat")
    assert labels(read("folder", path=str(tmp_path), depth=1)) == {"animal", "plant"}
    assert labels(read("folder", path=str(tmp_path), depth=2)) == {"cat", "dog", "rose"}
    with pytest.raises(DataError, match="no folders at depth 3"):
        read("folder", path=str(tmp_path), depth=3)


def test_images_in_folders_inside_a_class_folder_are_said(tmp_path):
    data = read("folder", path=str(tree(tmp_path, "cat", "cat/2023*2", "dog")))
    assert [r.label for r in data.records] == ["cat", "cat", "cat", "dog"]
    assert data.notes == ("2 images of class 'cat' lie in folders inside it (2023)",)


def test_images_beside_class_folders_are_said_and_count(tmp_path):
    tree(tmp_path, "cat*20", "dog*20")
    put(tmp_path / "sample.png")
    data = read("folder", path=str(tmp_path))
    assert account(data).lines() == [
        "files: 41, 40 used, 1 ignored",
        "  ignored: sample.png lies beside the class folders",
    ]
    assert not account(data).too_many_lost
    for index in range(3):
        put(tmp_path / f"{index}.png")
    assert account(read("folder", path=str(tmp_path))).too_many_lost


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    draw(0, 0).save(buffer, form)
    return buffer.getvalue()


def test_pictures_are_known_by_content(tmp_path):
    tree(tmp_path, "cat", "dog")
    for name, form in (("none", "JPEG"), ("wrong.txt", "PNG"), ("2.dat", "WEBP")):
        (tmp_path / "cat" / name).write_bytes(encoded(form))
    data = read("folder", path=str(tmp_path))
    assert {pathlib.PurePath(r.name).name for r in data.records if r.label == "cat"} == {
        "0.png", "none", "wrong.txt", "2.dat"
    }  # fmt: skip
    assert not data.ignored


def test_what_is_no_picture_or_not_decoded_is_named(tmp_path):
    tree(tmp_path, "cat*9", "dog*9")
    cat = tmp_path / "cat"
    (cat / "readme").write_text("words")
    (cat / "a.psd").write_bytes(b"8BPS\0\1" + bytes(20))
    (cat / "b").write_bytes(b"\x00\x01\x02\x03" * 9)
    (cat / "empty.txt").write_bytes(b"")
    data = read("folder", path=str(tmp_path))
    assert {(i.name, i.reason, i.lost) for i in data.ignored} == {
        ("cat/readme", "is text, no picture", False),
        ("cat/a.psd", "is PSD, which tlkit does not decode", True),
        ("cat/b", "is not a picture", False),
        ("cat/empty.txt", "is empty", False),
    }
    assert account(data).too_many_lost  # 1 of 19


def test_what_programs_leave_is_left_out_and_said(tmp_path):
    tree(tmp_path, "cat*3", "dog*3", "cat/.ipynb_checkpoints", "cat/@eaDir/0.png", "__MACOSX/cat",
         ".git", "dog/thumbnails", "dog/__pycache__")  # fmt: skip
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", "SYNOPHOTO_THUMB_M.jpg"):
        (tmp_path / "dog" / name).write_bytes(b"\xff\xd8\xff")
    data = read("folder", path=str(tmp_path))
    assert len(data.records) == 6
    assert len(data.ignored) == files_in(tmp_path) - 6 == 11
    assert not account(data).lost
    reasons = {item.name: item.reason for item in data.ignored}
    assert reasons["cat/@eaDir/0.png/0.png"] == "lies in @eaDir, which is made by a program"
    assert reasons["cat/.ipynb_checkpoints/0.png"] == "lies in .ipynb_checkpoints, which is hidden"
    assert reasons["dog/Thumbs.db"] == "is made by the system"


@pytest.mark.parametrize(
    "name", ["__background__", "①", "日本", "a\nb", "$x_$", "x\u2028y", "07", "-1"]
)
def test_odd_names_are_classes(tmp_path, name):
    assert labels(read("folder", path=str(tree(tmp_path, name, "dog")))) == {name, "dog"}


def test_one_name_in_two_forms_of_unicode_is_one_class(tmp_path):
    two = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    tree(tmp_path, two[0], two[1] + "/", "dog")
    put(tmp_path / two[1] / "other.png")
    data = read("folder", path=str(tmp_path))
    assert labels(data) == {two[0], "dog"}
    assert data.notes == (f"class {two[0]!r} is spelt in 2 ways that look the same, and is one",)


def test_names_that_are_no_utf_8_are_shown_with_escapes(tmp_path):
    tree(tmp_path, "dog")
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    draw(0, 0).save(tmp_path / "x.png")
    os.rename(os.path.join(os.fsencode(tmp_path), b"x.png"), os.path.join(folder, b"\xff.png"))
    data = read("folder", path=str(tmp_path))
    assert next((r.name, r.label) for r in data.records) == (r"caf\xe9/\xff.png", r"caf\xe9")
    assert data.records[0].read().startswith(b"\x89PNG")


def test_linked_class_folders_and_files_are_read(tmp_path):
    tree(tmp_path / "far", "cat*2", "deep/dog")
    home = tmp_path / "home"
    tree(home, "bird")
    (home / "cat").symlink_to(tmp_path / "far" / "cat")
    (home / "dog").symlink_to("../far/deep/dog")
    (home / "bird" / "link.png").symlink_to(tmp_path / "far" / "cat" / "0.png")
    data = read("folder", path=str(home))
    assert sorted(r.label for r in data.records) == ["bird", "bird", "cat", "cat", "dog"]


def test_links_that_lead_nowhere_or_round_are_said(tmp_path):
    tree(tmp_path, "cat*20", "dog*20")
    cat = tmp_path / "cat"
    (cat / "annexed.jpg").symlink_to("../.git/annex/objects/gone")
    (cat / "self").symlink_to("self")
    (cat / "up").symlink_to("..")
    data = read("folder", path=str(tmp_path))
    reasons = {item.name: (item.reason, item.lost) for item in data.ignored}
    assert reasons["cat/annexed.jpg"] == ("is a link that leads nowhere", True)
    assert reasons["cat/self"][0].startswith("is a link that cannot be followed: Too many levels")
    assert reasons["cat/up"] == ("is a link to a folder that it lies in", False)
    assert len(data.records) == 40


def test_links_behind_links_end(tmp_path):
    tree(tmp_path, "cat/x", "dog/y")
    for one in "abcdefgh":
        (tmp_path / one).mkdir()
        for name in ("p", "q"):
            (tmp_path / one / name).symlink_to(f"../{chr(ord(one) + 1)}")
    (tmp_path / "i").symlink_to("cat")
    with pytest.raises(DataError, match="which folders are the classes"):
        read("folder", path=str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path):
    tree(tmp_path, "cat", "dog")
    (tmp_path / "cat").chmod(0)
    try:
        with pytest.raises(
            DataError, match=r"cat: this folder cannot be opened: Permission denied"
        ):
            read("folder", path=str(tmp_path))
    finally:
        (tmp_path / "cat").chmod(0o700)


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    tree(tmp_path, "cat", "dog")
    real = os.scandir

    def refused(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match="dog: this folder cannot be opened: Permission denied"):
        read("folder", path=str(tmp_path))


def test_nothing_waits_for_a_pipe(tmp_path):
    tree(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "a.jpg")
    os.mkfifo(tmp_path / "cat" / "b")
    data = read("folder", path=str(tmp_path))
    assert {i.reason for i in data.ignored} == {"is a pipe (FIFO)"}
    with pytest.raises(OSError, match=r"is a pipe \(FIFO\)"):
        read_file(tmp_path / "cat" / "a.jpg")
    with pytest.raises(OSError, match="is a folder"):
        read_file(tmp_path / "cat")


def test_a_file_that_grows_ends_where_it_ended(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"a" * 100)
    real = os.fstat

    def growing(handle):
        state = real(handle)
        with open(tmp_path / "x", "ab") as file:
            file.write(b"more")
        return state

    monkeypatch.setattr(os, "fstat", growing)
    assert read_file(tmp_path / "x") == b"a" * 100


def test_an_empty_class_says_so_and_a_tilde_is_no_traceback(tmp_path):
    with pytest.raises(DataError, match="~nobody-of-that-name: no such folder"):
        read("folder", path="~nobody-of-that-name")
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="no class folders with images"):
        read("folder", path=str(tmp_path))


names = strategies.sampled_from(
    ["cat", "dog", "Cat", "train", "test_set", "val", "1", "01", "①", ".hidden", "@eaDir", "__MACOSX",
     "__background__", "caf\u00e9", "cafe\u0301", "x\ny", "a" * 200, "zip2", " ", "thumbnails"]
)  # fmt: skip
kinds = strategies.sampled_from(
    [
        "a.png",
        "b.jpg",
        "noend",
        "t.txt",
        "x.tif",
        ".DS_Store",
        "Thumbs.db",
        "e.png",
        "p",
        "l.png",
        "up",
    ]
)
trees = strategies.lists(
    strategies.tuples(strategies.lists(names, max_size=4), kinds), min_size=1, max_size=25
)
PNG, TIFF = encoded("PNG"), encoded("TIFF")


def build(root: pathlib.Path, items) -> int:
    """Makes the files; returns how many there are, each link counted once."""
    for parts, kind in items:
        place = root.joinpath(*parts)
        place.mkdir(parents=True, exist_ok=True)
        file = place / kind
        if os.path.lexists(file):
            continue
        if kind in ("a.png", "b.jpg", "noend"):
            file.write_bytes(PNG)
        elif kind == "x.tif":
            file.write_bytes(TIFF)
        elif kind == "e.png":
            file.write_bytes(b"")
        elif kind == "p":
            os.mkfifo(file)
        elif kind == "l.png":
            file.symlink_to("gone")
        elif kind == "up":
            file.symlink_to(".")
        else:
            file.write_text("words")
    links = sum(os.path.islink(os.path.join(d, n)) for d, dirs, _ in os.walk(root) for n in dirs)
    return files_in(root) + links


@hypothesis.given(trees)
@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_every_file_of_a_random_tree_is_used_or_ignored_for_a_reason(tmp_path, items):
    root = tmp_path / "data"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    count = build(root, items)
    try:
        data = read("folder", path=str(root))
    except UserError as error:
        assert str(error)
        return
    assert account(data).files == count
    seen = [r.name for r in data.records] + [i.name for i in data.ignored]
    assert len(set(seen)) == count
    for record in data.records:
        parts = [unicodedata.normalize("NFC", p).strip() or p for p in record.name.split("/")[:-1]]
        assert record.label in parts  # no class but that of a folder above the file
        assert record.label not in ("train", "test_set", "val", ".hidden", "@eaDir", "__MACOSX")
