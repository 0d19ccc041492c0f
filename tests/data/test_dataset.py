import numpy as np
import pytest

from tests.conftest import draw
from tlkit.data import dataset
from tlkit.data.dataset import keep_pixels, load_dataset, load_for_evaluation, resized
from tlkit.data.pipeline import batches, epoch_order
from tlkit.errors import DataError
from tlkit.recipe.schema import Data
from tlkit.tasks.classification import Classification


def config(root, **changes):
    return Data.model_validate({"source": {"folder": str(root)}, "image_size": 32, **changes})


def make(root, counts, split=""):
    for kind, (name, count) in enumerate(counts.items()):
        folder = root / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            draw(kind % 3, index + 1000 * len(split)).save(folder / f"{index}.png")


def test_classes_counts_and_pixels(photos):
    data = load_dataset(config(photos), (32, 32))
    assert data.classes == ["blue", "green", "red"]
    assert len(data.train) + len(data.val) == 60
    assert data.train.pixels.shape == (len(data.train), 32, 32, 3)
    # the main colour of a picture is its class
    channel = {"red": 0, "green": 1, "blue": 2}
    means = np.asarray(data.train.pixels).mean(axis=(1, 2))
    for mean, label in zip(means, data.train.labels, strict=True):
        assert mean.argmax() == channel[data.classes[label]]


def test_on_disk_they_are_the_same_and_leave_nothing(photos, tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "more"))
    kept = load_dataset(config(photos, cache="memory"), (32, 32))
    spooled = load_dataset(config(photos, cache="disk"), (32, 32))
    assert isinstance(spooled.train.pixels.parts[0], np.memmap)
    np.testing.assert_array_equal(kept.train.pixels, spooled.train.pixels)
    assert not list((tmp_path / "more").iterdir())  # the file has no name


@pytest.mark.parametrize("harm", ["broken", "gone", "changed"])
def test_another_size_of_files_that_changed_is_refused(tmp_path, harm):
    make(tmp_path, {"a": 8, "b": 8})
    data = load_dataset(config(tmp_path), (32, 32))
    file = tmp_path / data.train.records[2].name
    if harm == "gone":
        file.unlink()
    elif harm == "broken":
        file.write_bytes(file.read_bytes()[:100])
    else:
        draw(2, 99).save(file)
    with pytest.raises(DataError, match=f"changed while tlkit was using them: .*{file.name}"):
        resized(data, config(tmp_path), (16, 16))


def test_a_file_that_changed_is_not_streamed(tmp_path):
    make(tmp_path, {"a": 8, "b": 8})
    data = load_dataset(config(tmp_path, cache="off"), (32, 32))
    file = tmp_path / data.train.records[2].name
    draw(2, 99).save(file)
    with pytest.raises(DataError, match=rf"{file.name} is not the file that it was"):
        list(batches(data.train, data.prepare, 4))


def test_where_decoded_images_are_kept(monkeypatch):
    monkeypatch.setattr(dataset, "free_memory", lambda: 10**9)
    monkeypatch.setattr(dataset, "free_disk", lambda folder: 10**10)
    size = (100, 100)  # 30 kB
    assert keep_pixels("auto", 10_000, size) == "memory"
    assert keep_pixels("auto", 100_000, size) == "disk"
    assert keep_pixels("auto", 1_000_000, size) == "off"
    assert keep_pixels("disk", 10_000, size) == "disk"
    assert keep_pixels("off", 10, size) == "off"
    with pytest.raises(DataError, match=r"memory needs 3\.0 GB, 1\.0 GB are free"):
        keep_pixels("memory", 100_000, size)
    with pytest.raises(DataError, match=r"disk needs 30\.0 GB, 10\.0 GB are free"):
        keep_pixels("disk", 1_000_000, size)


def test_memory_and_stream_give_the_same_batches(photos):
    kept = load_dataset(config(photos, cache="memory"), (32, 32))
    streamed = load_dataset(config(photos, cache="off"), (32, 32))
    assert streamed.train.pixels is None
    order = epoch_order(len(kept.train), 3, 1)
    for a, b in zip(
        batches(kept.train, kept.prepare, 7, order, 2),
        batches(streamed.train, streamed.prepare, 7, order, 2),
        strict=True,
    ):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_a_class_missing_from_val_shifts_no_id(tmp_path):
    make(tmp_path, {"a": 4, "b": 4, "c": 4}, "train")
    make(tmp_path, {"a": 2, "c": 2}, "val")
    data = load_dataset(config(tmp_path), (32, 32))
    assert data.classes == ["a", "b", "c"]
    assert sorted(set(data.val.labels)) == [0, 2]
    assert "val has no image of: b" in data.notes


def test_a_later_evaluation_is_aligned_by_name(tmp_path):
    make(tmp_path, {"zebra": 3, "ant": 2})
    data = load_for_evaluation(config(tmp_path), Classification(["zebra", "cat", "ant"]), (32, 32))
    labels = {
        r.label: int(k)
        for r, k in zip(data.splits["test"].records, data.splits["test"].labels, strict=True)
    }
    assert labels == {"zebra": 0, "ant": 2}
    assert data.notes == ["no image of: cat"]
    with pytest.raises(DataError, match="does not know: zebra"):
        load_for_evaluation(config(tmp_path), Classification(["ant", "cat"]), (32, 32))


def test_broken_files_are_named_and_skipped(tmp_path):
    make(tmp_path, {"a": 30, "b": 30})
    (tmp_path / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a jpeg")
    (tmp_path / "b" / "page.png").write_text("<html>404</html>")
    data = load_dataset(config(tmp_path), (32, 32))
    broken = dict(data.broken)
    assert broken["b/page.png"] == "is text, not a picture"
    assert broken["a/broken.jpg"].startswith("does not decode: ")
    assert len(data.train) + len(data.val) == 60
    with pytest.raises(DataError, match=r"on_broken is fail:\n    a/broken.jpg"):
        load_dataset(config(tmp_path, on_broken="fail"), (32, 32))


def test_many_broken_files_fail(tmp_path):
    make(tmp_path, {"a": 30, "b": 30})
    for index in range(4):
        (tmp_path / "a" / f"x{index}.png").write_bytes(b"")
    with pytest.raises(DataError, match="4 of 64 files are broken, more than 5"):
        load_dataset(config(tmp_path), (32, 32))


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"a": 5}, "only one class, 'a'"), ({"a": 5, "b": 0}, "no image in class 'b'")],
)
def test_too_few_classes_or_images_are_refused(tmp_path, counts, message):
    make(tmp_path, counts)
    with pytest.raises(DataError, match=message):
        load_dataset(config(tmp_path), (32, 32))


def test_an_empty_val_is_refused(tmp_path):
    make(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(DataError, match="the val split is empty"):
        load_dataset(config(tmp_path, split={"val": 0.0}), (32, 32))


def test_copies_across_splits_are_noted(tmp_path):
    make(tmp_path, {"a": 3, "b": 3}, "train")
    make(tmp_path, {"a": 1, "b": 1}, "val")
    (tmp_path / "val" / "a" / "copy.png").write_bytes(
        (tmp_path / "train" / "a" / "0.png").read_bytes()
    )
    data = load_dataset(config(tmp_path), (32, 32))
    assert any("1 images of val are also in train" in note for note in data.notes)


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    a, b = epoch_order(50, 1, 0), epoch_order(50, 1, 1)
    assert sorted(a) == list(range(50))
    assert list(a) != list(b)
    assert list(a) == list(epoch_order(50, 1, 0))


@pytest.mark.assets
def test_real_photos_keep_the_source_s_own_split(assets):
    data = load_dataset(config(assets / "data" / "hymenoptera", image_size=64), (64, 64))
    assert data.classes == ["ants", "bees"]
    assert (len(data.train), len(data.val)) == (244, 153)
    assert data.broken == []
