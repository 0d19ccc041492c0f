"""Lists as people have them."""

import json
import os
import pathlib
import re

import pytest

from tests.data.test_sources import put, read
from tlkit.draft import draft_recipe
from tlkit.errors import DataError

FOUR = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")


def images(root: pathlib.Path, *names: str) -> pathlib.Path:
    for seed, name in enumerate(names or FOUR):
        put(root / name, seed=seed)
    return root


def listing(root: pathlib.Path, text: str | bytes, name: str = "m.csv"):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        file.write_bytes(text)
    else:
        file.write_text(text, "utf-8")
    return file


def rows(data):
    return [(record.name, record.label) for record in data.records]


def csv_of(labels, head="path,label", names=FOUR) -> str:
    return head + "\n" + "".join(f"{n},{x}\n" for n, x in zip(names, labels, strict=False))


@pytest.mark.parametrize(
    ("labels", "classes", "note"),
    [
        (
            ("cat", "cat ", " dog", "dog"),
            ["cat", "cat", "dog", "dog"],
            "white space around 1 labels",
        ),
        (("1", "1.0", "2.0", "2"), ["1", "1", "2", "2"], None),
        (("1.5", "1.5", "2", "2"), ["1.5", "1.5", "2", "2"], None),
        (("none", "none", "x", "x"), ["none", "none", "x", "x"], "none is taken for a class"),
        (("01", "1", "①", "x"), ["01", "1", "①", "x"], None),
    ],
)
def test_labels_are_read_as_they_are_meant(tmp_path, labels, classes, note):
    images(tmp_path)
    data = read("manifest", path=str(listing(tmp_path, csv_of(labels))))
    assert [label for _, label in rows(data)] == classes
    if note:
        assert any(note in text for text in data.notes)


def test_missing_labels_are_reported_by_line_all_of_them(tmp_path):
    names = [f"{k}.png" for k in range(60)]
    images(tmp_path, *names)
    text = csv_of(["NaN" if k % 2 else ("" if k % 4 else "cat") for k in range(60)], names=names)
    with pytest.raises(
        DataError, match=r"m\.csv: 45 rows cannot be used:\n    line 3: no 'label'"
    ) as e:
        read("manifest", path=str(listing(tmp_path, text)))
    assert "and 25 more, in lines " in str(e.value)
    assert re.search(r"\b61\W+If images may have no label", str(e.value))


@pytest.mark.parametrize(
    ("labels", "several"),
    [
        (("cat", '"cat,red"', "dog", '"dog, red"'), ["cat", "cat red", "dog", "dog red"]),
        (("a|b", "b", "a", "a|b|a"), ["a b", "b", "a", "a b"]),
        (("x; y", "x", "y", ""), ["x y", "x", "y", ""]),  # and an image without any
        (("\"['red', 'cat']\"", "cat", "dog", "dog"), ["cat red", "cat", "dog", "dog"]),
        (('"[""cat"", ""red""]"', "cat", "[]", "dog"), ["cat red", "cat", "", "dog"]),
    ],
)
def test_several_labels_an_image_are_handed_on(tmp_path, labels, several):
    images(tmp_path)
    data = read("manifest", path=str(listing(tmp_path, csv_of(labels))))
    assert [" ".join(record.labels) for record in data.records] == several
    assert [record.where.rpartition(":")[2] for record in data.records] == ["2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("separator", "cells", "several"),
    [
        ("/", ("a/b", "c", "d/e", ""), ["a b", "c", "d e", ""]),
        (" ", ("scab  rust", "rust", "scab", "healthy"), ["scab rust", "rust", "scab", "healthy"]),
        (",", ('"tench, Tinca tinca"', "x", "y", "z"), ["tench+Tinca tinca", "x", "y", "z"]),
    ],
)
def test_a_separator_that_is_named_parts_every_label(tmp_path, separator, cells, several):
    images(tmp_path)
    data = read("manifest", path=str(listing(tmp_path, csv_of(cells))), separator=separator)
    found = [("+" if separator == "," else " ").join(r.labels) for r in data.records]
    assert found == several


def test_rows_of_one_image_give_it_all_their_labels(tmp_path):
    images(tmp_path)
    text = csv_of(("cat", "cat", "dog", "dog")) + "cat/1.png,red\ndog/1.png,red\ndog/1.png,dog\n"
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert {r.name: r.labels for r in data.records} == {
        "cat/1.png": ("cat", "red"), "cat/2.png": ("cat",), "dog/1.png": ("dog", "red"),
        "dog/2.png": ("dog",),
    }  # fmt: skip
    assert data.records[0].where.endswith("m.csv:2,6")
    assert "1 rows name a file that an earlier row names; each is used once" in data.notes


def test_decimal_commas_are_no_separators(tmp_path):
    images(tmp_path)
    data = read("manifest", path=str(listing(tmp_path, csv_of(('"1,5"', '"1,25"', "1", "5")))))
    assert [label for _, label in rows(data)] == ["1,5", "1,25", "1", "5"]


def test_lists_of_one_and_names_with_commas_are_labels(tmp_path):
    images(tmp_path)
    text = csv_of(('"tench, Tinca tinca"', '"goldfish, Carassius auratus"', "\"['cat']\"", "[1]"))
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert [label for _, label in rows(data)] == [
        "tench, Tinca tinca", "goldfish, Carassius auratus", "cat", "1"
    ]  # fmt: skip


def test_json_lists_of_labels_and_missing_values(tmp_path):
    images(tmp_path)
    values = [["cat"], "dog", 1.0, True]
    lines = "\n".join(
        json.dumps({"file": n, "label": v}) for n, v in zip(FOUR, values, strict=True)
    )
    data = read("manifest", path=str(listing(tmp_path, lines, "m.jsonl")))
    assert [label for _, label in rows(data)] == ["cat", "dog", "1", "true"]
    text = '{"file": "cat/1.png", "label": ["b", "a"]}\n{"file": "cat/2.png", "label": null}\n'
    data = read("manifest", path=str(listing(tmp_path, text, "n.jsonl")))
    assert [record.labels for record in data.records] == [("a", "b"), ()]
    text = '{"file": "cat/1.png", "label": {"a": 1}}\n{"file": "cat/2.png", "label": null}\n'
    with pytest.raises(DataError, match="2 rows cannot be used") as error:
        read("manifest", path=str(listing(tmp_path, text, "n.jsonl")))
    assert "line 1: 'label' is an object" in str(error.value)
    assert "line 2: no 'label'" in str(error.value)


def test_an_image_listed_twice_is_used_once(tmp_path):
    images(tmp_path)
    text = csv_of(("cat", "cat", "dog", "dog")) + "./cat/1.png,cat\ncat/1.png,cat\n"
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert len(data.records) == 4
    assert "2 rows name a file that an earlier row names; each is used once" in data.notes


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("cat/1.png,,\n", "no 'label'"),
        ("cat/1.png,cat,val\n", "cat/1.png is in val here and in train in line 2"),
    ],
)
def test_an_image_listed_in_two_ways_is_refused_by_line(tmp_path, more, found):
    images(tmp_path)
    text = csv_of(("cat,train", "cat,", "dog,", "dog,"), "path,label,split") + more
    with pytest.raises(DataError, match=rf"m\.csv:6: {found}"):
        read("manifest", path=str(listing(tmp_path, text)))


def test_the_column_whose_values_are_files_is_taken_and_what_else_fits_is_said(tmp_path):
    images(tmp_path)
    text = "image_path,path,class,label\n" + "".join(
        f"{name},{k},{k % 2},{name[:3]}\n" for k, name in enumerate(FOUR)
    )
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert rows(data) == [(name, name[:3]) for name in FOUR]
    assert data.notes == (
        "paths are from column 'image_path', whose values are files",
        "labels are from column 'label'; 'class' would fit too (label_column)",
    )


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_are_found(tmp_path, separator):
    images(tmp_path)
    text = f"path{separator}label\n" + "".join(f"{n}{separator}{n[:3]}, big\n" for n in FOUR[:2])
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert rows(data)[0] == ("cat/1.png", "cat, big")
    assert data.notes[0].startswith("its columns are separated by ")


@pytest.mark.parametrize(
    ("encoding", "note"),
    [("utf-16", None), ("utf-8-sig", None), ("utf-16-le", "UTF-16-LE"), ("cp1252", "Windows-1252")],
)
def test_encodings_are_found(tmp_path, encoding, note):
    images(tmp_path)
    text = csv_of(("café", "café", "dog", "dog")).encode(encoding)
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert [label for _, label in rows(data)] == ["café", "café", "dog", "dog"]
    assert bool(data.notes) == bool(note)
    if note:
        assert note in data.notes[0]


def test_no_header_is_needed(tmp_path):
    images(tmp_path)
    text = "".join(f"{name},{name[:3]}\n" for name in FOUR)
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert rows(data) == [(name, name[:3]) for name in FOUR]
    lines = "".join(f"{name} {k % 2}\n" for k, name in enumerate(FOUR))
    data = read("manifest", path=str(listing(tmp_path, lines, "val.txt")))
    assert rows(data) == [(name, str(k % 2)) for k, name in enumerate(FOUR)]
    data = read("manifest", path=str(listing(tmp_path, "a,cat/1,x\nb,dog/1,y\n")), path_column="2", label_column="3")  # fmt: skip
    assert rows(data) == [("cat/1", "x"), ("dog/1", "y")]


def test_a_row_of_another_length_is_told_by_line(tmp_path):
    images(tmp_path)
    text = csv_of(("cat", "cat, red", "dog", "dog")) + "\n,cat\ncat/1.png\n"
    with pytest.raises(DataError, match="3 rows cannot be used") as error:
        read("manifest", path=str(listing(tmp_path, text)))
    assert "line 3: 3 values for 2 columns" in str(error.value)
    assert "line 7: no 'path'" in str(error.value)
    assert "line 8: no 'label'" in str(error.value)
    data = read("manifest", path=str(listing(tmp_path, "path,label\ncat/1.png,cat,,\n")))
    assert rows(data) == [("cat/1.png", "cat")]


def test_backslashes_work(tmp_path):
    images(tmp_path)
    text = csv_of(("cat", "cat", "dog", "dog"), names=[n.replace("/", "\\") for n in FOUR])
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert all(record.read() for record in data.records)


@pytest.mark.parametrize(
    "start", ["C:\\Users\\me\\data\\", "/home/me/data/", "gs://bucket/data/", "https://x.org/data/"]
)
def test_paths_of_another_machine_are_found_by_their_ends_and_said(tmp_path, start):
    images(tmp_path)
    joint = "\\" if "\\" in start else "/"
    names = [start + name.replace("/", joint) for name in FOUR]
    file = listing(tmp_path / "lists", csv_of(("cat", "cat", "dog", "dog"), names=names))
    data = read("manifest", path=str(file), root=str(tmp_path))
    assert [r.read() for r in data.records] == [(tmp_path / n).read_bytes() for n in FOUR]
    assert any("paths of another place are read under" in note for note in data.notes)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("C:\\gone\\{}.png", "a path of a Windows machine"),
        ("https://x.org/{}.png", "a URL, and tlkit reads files: download them"),
        ("/gone/{}.png", "a path from the root of a machine"),
        ("~nobody-of-that-name/{}.png", "none of its 4 paths"),
        ("{}.png", "none of its 4 paths in column 'path' is a file under"),
    ],
)
def test_paths_of_no_file_get_one_sentence(tmp_path, name, found):
    text = csv_of("abab", names=[name.format(k) for k in range(4)])
    with pytest.raises(DataError, match=found) as error:
        read("manifest", path=str(listing(tmp_path, text)))
    assert "root:" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_folder_where_one_stands_is_named_if_it_fits(tmp_path, monkeypatch):
    images(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    file = listing(tmp_path / "a" / "b" / "c", csv_of(("cat", "cat", "dog", "dog")))
    with pytest.raises(DataError, match=f"Add: root: {tmp_path / 'here'}"):
        read("manifest", path=str(file))


@pytest.mark.parametrize("names", [FOUR, [name[:-4] for name in FOUR]])
def test_images_in_a_folder_beside_the_list_are_found_with_and_without_ending(tmp_path, names):
    images(tmp_path / "train_images")
    text = csv_of(("cat", "cat", "dog", "dog"), "id,breed", names)
    data = read("manifest", path=str(listing(tmp_path, text, "train.csv")))
    assert all(record.read() for record in data.records)
    assert f"its paths lie under {tmp_path / 'train_images'}" in data.notes[-1]


def test_columns_of_0_and_1_are_classes(tmp_path):
    images(tmp_path)
    text = "image_id, healthy, rust\n" + "".join(
        f"{name[:-4]}, {k % 2}, {1 - k % 2}\n" for k, name in enumerate(FOUR)
    )
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert [label for _, label in rows(data)] == ["rust", "healthy"] * 2


@pytest.mark.parametrize("words", ["01", ("false", "true"), ("False", "1")])
def test_columns_of_flags_give_any_number_of_labels(tmp_path, words):
    images(tmp_path)
    no, yes = words
    rows = [(yes, yes), (no, no), (no, yes), (yes, no)]
    text = "image_id,healthy,rust\n" + "".join(
        f"{name[:-4]},{a},{b}\n" for name, (a, b) in zip(FOUR, rows, strict=True)
    )
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert [r.labels for r in data.records] == [("healthy", "rust"), (), ("rust",), ("healthy",)]
    assert data.flags == ("healthy", "rust")
    assert data.columns == ()


def test_flags_that_are_neither_are_told_by_line(tmp_path):
    """After the rows by which the columns are found; and an image that is said to be both."""
    names = [f"{k}.png" for k in range(50)]
    images(tmp_path, *names)
    lines = [f"{name},{k % 2},1" for k, name in enumerate(names)]
    lines[47] = "47.png,?,1"
    lines[48] = "48.png,,1"
    text = "file,a,b\n" + "\n".join([*lines, "1.png,0,1"])
    with pytest.raises(DataError, match="3 rows cannot be used") as error:
        read("manifest", path=str(listing(tmp_path, text)))
    assert "line 49: '?' in 'a' is neither 0 nor 1" in str(error.value)
    assert "line 50: '' in 'a' is neither 0 nor 1" in str(error.value)
    assert "line 52: 1.png is 'b' here and 'a|b' in line 3" in str(error.value)


@pytest.mark.parametrize("values", [("0", "1", "2", "3"), ("fold1", "fold2", "fold1", "fold2")])
def test_a_column_of_folds_does_not_block_the_file(tmp_path, values):
    images(tmp_path)
    text = csv_of([f"{n[:3]},{v}" for n, v in zip(FOUR, values, strict=True)], "path,label,fold")
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert {record.split for record in data.records} == {None}
    assert any("column 'fold' holds" in note for note in data.notes)


def test_what_the_list_leaves_out_and_what_is_gone_is_said(tmp_path):
    images(tmp_path)
    put(tmp_path / "cat" / "3.png")
    text = csv_of(("cat", "cat", "dog", "dog")) + "dog/9.png,dog\n"
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert [(item.name, item.reason, item.lost) for item in data.ignored] == [
        ("cat/3.png", "is not in the list", False)
    ]
    assert "1 of its 5 files are not there: dog/9.png" in data.notes
    with pytest.raises(FileNotFoundError):
        data.records[-1].read()


def test_rows_that_name_folders_or_nothing_are_no_images_of_the_account(tmp_path):
    images(tmp_path)
    os.mkfifo(tmp_path / "p.png")
    text = csv_of(("cat", "cat", "dog", "dog")) + "dog,dog\ngone.png,dog\np.png,cat\n"
    file = listing(tmp_path, text)
    data = read("manifest", path=str(file))
    assert "1 of its 7 files are not there: gone.png" in data.notes
    assert "2 of its 7 rows name no file: dog is a folder, p.png is a pipe (FIFO)" in data.notes
    draft = draft_recipe(file, "tiny", tmp_path)
    assert "files: 7, 4 used, 3 broken" in draft.lines
    assert "4 images, 2 classes (cat 2, dog 2)" in draft.lines[0]


@pytest.mark.parametrize(
    ("head", "values", "splits", "note"),
    [
        ("is_valid", ("False", "True", "False", "True"), ["train", "val"] * 2, "from 'is_valid'"),
        ("is_valid", ("0", "1.0", "", "1"), ["train", "val"] * 2, "from 'is_valid'"),
        ("is_test", ("no", "yes", "no", "yes"), ["train", "test"] * 2, "from 'is_test'"),
        ("is_training_image", ("1", "0", "1", "0"), ["train", "test"] * 2, "not train is test"),
        ("is_val,is_test", ("0,0", "1,0", "0,1", "0,0"), ["train", "val", "test", "train"], "is_test"),
        ("Usage", ("Training", "PublicTest", "Training", "PrivateTest"), ["train", "test"] * 2, ""),
        ("is_healthy", ("0", "1", "0", "1"), [None] * 4, ""),
        ("is_valid", ("a", "b", "a", "b"), [None] * 4, ""),
    ],
)  # fmt: skip
def test_columns_of_yes_and_no_name_splits(tmp_path, head, values, splits, note):
    images(tmp_path)
    labels = ("cat", "cat", "dog", "dog")
    text = csv_of([f"{a},{b}" for a, b in zip(labels, values, strict=True)], f"path,label,{head}")
    (tmp_path / "m").mkdir()
    for data in (
        read("manifest", path=str(listing(tmp_path, text))),
        # with a label column that is not called as one
        read("manifest", path=str(listing(tmp_path, text.replace("label", "species")))),
    ):
        assert [record.split for record in data.records] == splits
        assert [record.label for record in data.records] == list(labels)
        assert note in " ".join(data.notes)


def test_an_image_of_two_splits_at_once_is_told_by_line(tmp_path):
    images(tmp_path)
    text = csv_of(("cat,1,0", "cat,1,1"), "path,label,is_valid,is_test")
    with pytest.raises(DataError, match=r"m\.csv:3: is in test and val at once"):
        read("manifest", path=str(listing(tmp_path, text)))


CAPTIONS = ("a cat sits on the mat", "two cats sit on a mat", "a dog runs after the ball",
            "the dog sleeps in the sun")  # fmt: skip


def test_captions_are_no_classes_without_a_word(tmp_path):
    images(tmp_path)
    data = read("manifest", path=str(listing(tmp_path, csv_of(CAPTIONS))))
    assert any("its labels are texts, as captions are ('a dog runs" in note for note in data.notes)
    for head in ("path,caption", "path,x"):
        with pytest.raises(DataError, match=r"do not look like classes.*label_column: "):
            read("manifest", path=str(listing(tmp_path, csv_of(CAPTIONS, head))))
    data = read("manifest", path=str(tmp_path / "m.csv"), label_column="x")
    assert len({record.label for record in data.records}) == 4


def test_names_of_one_class_in_a_row_are_no_captions(tmp_path):
    images(tmp_path)
    labels = ['"great white shark, white shark, man-eater, Carcharodon carcharias"', "tench"]
    data = read("manifest", path=str(listing(tmp_path, csv_of(labels * 2, "path,name of fish"))))
    assert not any("captions" in note for note in data.notes)


def test_a_column_of_different_values_is_not_taken_for_the_classes(tmp_path):
    names = [f"{number}.png" for number in range(12)]
    images(tmp_path, *names)
    text = csv_of([f"u{number}" for number in range(12)], "path,uploader", names)
    with pytest.raises(DataError, match="'uploader' holds texts that do not look like classes"):
        read("manifest", path=str(listing(tmp_path, text)))
    data = read("manifest", path=str(listing(tmp_path, text.replace("uploader", "label"))))
    assert "12 images have 12 different labels" in data.notes


def test_a_pipe_in_a_list_is_not_waited_for(tmp_path):
    images(tmp_path)
    os.mkfifo(tmp_path / "p.png")
    data = read("manifest", path=str(listing(tmp_path, "path,label\np.png,a\ncat/1.png,b\n")))
    with pytest.raises(OSError, match="pipe"):
        data.records[0].read()


def test_names_in_both_forms_of_unicode_are_one_file_and_one_class(tmp_path):
    images(tmp_path, "cafe\u0301.png", "dog.png")
    text = "path,label\ncaf\u00e9.png,cafe\u0301\ndog.png,caf\u00e9\n"
    data = read("manifest", path=str(listing(tmp_path, text)))
    assert {record.label for record in data.records} == {"caf\u00e9"}
    assert all(record.read() for record in data.records)


def test_a_label_may_have_a_new_line(tmp_path):
    images(tmp_path)
    text = 'path,label\ncat/1.png,"red\napple"\ncat/2.png,x\u2028y\ndog/1.png,\n'
    with pytest.raises(DataError, match=r"m\.csv:5: no 'label'"):
        read("manifest", path=str(listing(tmp_path, text)))
    data = read("manifest", path=str(listing(tmp_path, text.replace("dog/1.png,\n", ""))))
    assert [label for _, label in rows(data)] == ["red\napple", "x\u2028y"]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"path,label\n\0\0\0\0,x\n", "is not a table|none of its|lists no images|no text"),
        (b'{"path": "\\ud800.png", "label": "x"}', "no text"),
        (b"path,label\nx,y\n".ljust(10), "none of its 1 paths"),
        (b"\xff\xfe", "lists no images"),
        (b"path,label,label\nx,y,z\n", "two columns are called label"),
        (b'path,label\n"' + b"x" * 200_000, "is not a table: field larger"),
    ],
)
def test_broken_lists_get_a_sentence(tmp_path, data, found):
    name = "m.jsonl" if data.startswith(b"{") else "m.csv"
    with pytest.raises(DataError, match=found):
        read("manifest", path=str(listing(tmp_path, data, name)))


FORTY = tuple(f"a/{k}.png" for k in range(40))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("cell", ["?", "", "x"])
def test_a_cell_that_is_neither_0_nor_1_is_named_wherever_it_is(tmp_path, cell, named):
    images(tmp_path, *FORTY)
    cells = [f"{k % 2},{k % 3 % 2},{k % 5 % 2}" for k in range(40)]
    cells[32] = f"1,{cell},0"
    file = listing(tmp_path, csv_of(cells, "path,beach,sunset,dog", FORTY))
    given = {"label_column": ["beach", "sunset", "dog"]} if named else {}
    with pytest.raises(
        DataError, match=rf"m\.csv:34: '{re.escape(cell)}' in 'sunset' is neither 0"
    ):
        read("manifest", path=str(file), **given)


def test_a_column_of_0_1_and_2_is_no_class_and_that_is_said(tmp_path):
    images(tmp_path, *FORTY)
    cells = [f"{k % 2},{2 if k == 32 else k % 3 % 2},{k % 5 % 2}" for k in range(40)]
    data = read("manifest", path=str(listing(tmp_path, csv_of(cells, "path,a,b,c", FORTY))))
    assert data.flags == ("a", "c")
    assert any("column 'b' is not used: not all of its numbers are 0 or 1" in n for n in data.notes)


def test_an_open_quote_is_named(tmp_path):
    images(tmp_path)
    with pytest.raises(DataError, match=r"m\.csv:3: a quote is never closed"):
        read("manifest", path=str(listing(tmp_path, csv_of(("cat", '"cat', "dog", "dog")))))
    data = read("manifest", path=str(listing(tmp_path, csv_of(("cat", '5" disk', "dog", "dog")))))
    assert [label for _, label in rows(data)] == ["cat", '5" disk', "dog", "dog"]


@pytest.mark.parametrize(
    "cells", [("['x' 'y']", "['y' 'z']"), ("{x,y}", "{y,z}"), ("[x, y]", "[y, z]")]
)
def test_lists_as_other_programs_write_them(tmp_path, cells):
    images(tmp_path)
    quoted = [f'"{cell}"' for cell in cells]
    data = read("manifest", path=str(listing(tmp_path, csv_of(quoted * 2))))
    assert [record.labels for record in data.records] == [("x", "y"), ("y", "z")] * 2


def test_the_items_of_a_list_are_whole(tmp_path):
    images(tmp_path)
    lines = [["black, white", "x"], ["white"], ["x"], ["black, white"]]
    text = "".join(
        json.dumps({"path": name, "label": own}) + "\n"
        for name, own in zip(FOUR, lines, strict=True)
    )
    data = read("manifest", path=str(listing(tmp_path, text, "m.jsonl")))
    assert {label for record in data.records for label in record.labels} == {
        "black, white",
        "white",
        "x",
    }


@pytest.mark.parametrize("sign", ["/", " ", "+"])
def test_labels_that_seem_to_be_several_are_noted(tmp_path, sign):
    images(tmp_path)
    file = listing(tmp_path, csv_of((f"a{sign}b", "a", "b", f"b{sign}a")))
    data = read("manifest", path=str(file))
    assert any(f"joined by {sign!r}; if so, use separator: {sign!r}" in note for note in data.notes)
    data = read("manifest", path=str(file), separator=sign)
    assert not any("joined" in note or "separator" in note for note in data.notes)
    data = read("manifest", path=str(file), separator="#")
    assert any("no label has the separator '#'" in note for note in data.notes)


def test_names_of_several_words_are_not_taken_for_several(tmp_path):
    images(tmp_path)
    data = read(
        "manifest", path=str(listing(tmp_path, csv_of(("red car", "blue car", "car", "bus"))))
    )
    assert not any("joined" in note for note in data.notes)
