"""Features on disk: whole, found again, and never mixed up."""

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import Listener
from tlkit.data.dataset import Dataset, Split
from tlkit.data.record import Record
from tlkit.errors import DataError
from tlkit.features import cache, compute
from tlkit.features.cache import CacheEntry, cache_root, entries, prune
from tlkit.features.compiled_model import CompiledModel
from tlkit.features.compute import Views, frozen_features, place_for
from tlkit.features.fingerprint import fingerprint
from tlkit.features.split_network import Cut
from tlkit.recipe.schema import Cache
from tlkit.tasks.classification import Classification

SIDE = 8


def network(channels=6, seed=0):
    """A frozen part with two outputs."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(channels, 3, strides=2, activation="relu")(image)
    return Cut(
        keras.Model(image, [keras.layers.GlobalAveragePooling2D()(x), x]),
        None,
        [(channels,), (3, 3, channels)],
    )


def pictures(count, first=0):
    """Random images as a split of encoded files, read when they are asked for."""
    images = np.random.default_rng(7).integers(0, 256, (first + count, SIDE, SIDE, 3), np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in images[first:]]
    records = [Record(str(k), "a", None, lambda d=data: d) for k, data in enumerate(encoded)]
    hashes = [hashlib.sha256(data).hexdigest() for data in encoded]
    return images[first:], Split(records, np.zeros(count, np.int32), hashes)


def decode(data):
    return tf.ensure_shape(tf.io.decode_png(data, channels=3), (SIDE, SIDE, 3))


def dataset(train=150, val=20):
    images, split = pictures(train)
    more, held_out = pictures(val, train)
    data = Dataset(
        Classification(["a"]),
        {"train": split, "val": held_out},
        [],
        decode,
        (SIDE, SIDE),
        "8x8 crop",
    )
    return np.concatenate([images, more]), data


def expected(cut, images):
    return [np.asarray(x) for x in cut.frozen(images.astype("float32"), training=False)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(compute, "SHARD_IMAGES", 64)


def extract(cut, data, cache="auto", **more):
    said = []
    features, made = frozen_features(cut, data, cache, reporter=Listener(said), **more)
    return features, made, said


def test_features_are_kept_and_found_again_without_an_engine(monkeypatch):
    cut = network()
    images, data = dataset()
    features, made, _ = extract(cut, data)
    assert (made.kept, made.images, made.computed) == ("disk", 170, 170)
    for k, whole in enumerate(expected(cut, images)):
        np.testing.assert_allclose(features.train.pixels[k], whole[:150], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(features.val.pixels[k], whole[150:], rtol=1e-5, atol=1e-4)

    monkeypatch.setattr(compute, "choose_engine", None)  # must not be called
    again, made, said = extract(cut, data)
    assert made.computed == 0
    assert said == [
        f"features of train by engine keras, all 150 from {made.folder}",
        f"features of val by engine keras, all 20 from {made.folder}",
    ]
    for a, b in zip(features.train.pixels, again.train.pixels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_added_files_cost_only_themselves():
    cut = network()
    _, small = dataset(train=150)
    assert extract(cut, small)[1].computed == 170
    images, large = dataset(train=200, val=10)  # 20 of these were validation images before
    features, made, said = extract(cut, large)
    assert made.computed == 40
    assert said[-1] == "features of train: 170 of 200 were kept"
    np.testing.assert_allclose(
        features.train.pixels[0], expected(cut, images[:200])[0], rtol=1e-5, atol=1e-4
    )


def test_whatever_can_change_a_feature_is_in_the_key():
    _, data = dataset()
    folders = [extract(network(), data)[1].folder]
    assert extract(network(), data)[1].folder == folders[0]  # other names of layers
    changed = network()
    changed.frozen.weights[0].assign(changed.frozen.weights[0] * 1.001)
    folders.append(extract(changed, data)[1].folder)
    first_only = Cut(
        keras.Model((cut := network()).frozen.input, cut.frozen.outputs[0]), None, [(6,)]
    )
    folders.append(extract(first_only, data)[1].folder)
    squashed = Dataset(**{**data.__dict__, "decoding": "8x8 squash"})
    folders.append(extract(network(), squashed)[1].folder)
    folders.append(extract(network(), data, engine="tensorflow")[1].folder)
    folders.append(extract(network(), data, Cache(dtype="float16"))[1].folder)
    assert len(set(folders)) == len(folders)


def test_fingerprints_tell_settings_order_and_operations_apart():
    def build(stride=1, swap=False, name=None, operation=keras.ops.add):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        a = keras.layers.Conv2D(3, 3, strides=stride, padding="same", name=name)(image)
        b = keras.layers.ReLU()(a)
        x = operation(b, a) if swap else operation(a, b)
        return keras.Model(image, x)

    one = fingerprint(build())
    assert one == fingerprint(build(name="other"))
    others = [build(stride=2), build(swap=True), build(operation=keras.ops.subtract)]
    assert len({one, *map(fingerprint, others)}) == 4


def test_a_shard_that_cannot_be_read_now_is_left_for_later(monkeypatch):
    cut = network()
    _, data = dataset()
    features, made, _ = extract(cut, data)
    shards = sorted(entries(cache_root())[0].folder.glob("shard-*"))
    whole = {file: file.read_bytes() for file in shards[0].iterdir()}
    lost = len(json.loads((shards[0] / "shard.json").read_text())["keys"])
    read = cache._read_shard

    def hiccup(shard, shapes, dtype):
        if shard == shards[0]:
            raise OSError(errno.EIO, "Input/output error")
        return read(shard, shapes, dtype)

    monkeypatch.setattr(cache, "_read_shard", hiccup)
    again, made, said = extract(cut, data)
    assert made.computed == lost
    assert said[0] == (
        f"1 shards in {made.folder} cannot be read (Input/output error); they are left as they are"
    )
    for a, b in zip(features.train.pixels, again.train.pixels, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {file: file.read_bytes() for file in shards[0].iterdir()} == whole


def test_features_of_a_file_that_changed_are_not_cached_as_those_of_the_old(tmp_path):
    cut = network()
    images, data = dataset()
    other = tf.io.encode_png(255 - images[3]).numpy()
    data.train.records[3] = Record("3", "a", None, lambda: other)
    with pytest.raises(DataError, match=r"^3 is not the file that it was"):
        extract(cut, data)
    assert data.train.hashes[3] not in {
        key
        for file in cache_root().glob("*/shard-*/shard.json")
        for key in json.loads(file.read_text())["keys"]
    }


@pytest.mark.parametrize("harm", ["flipped", "cut short", "no list"])
def test_a_damaged_shard_is_found_and_made_again(harm):
    cut = network()
    _, data = dataset()
    features, made, _ = extract(cut, data)
    shard = sorted(entries(cache_root())[0].folder.glob("shard-*"))[0]
    lost = len(json.loads((shard / "shard.json").read_text())["keys"])
    file = shard / "1.npy"
    whole = file.read_bytes()
    if harm == "flipped":
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif harm == "cut short":
        file.write_bytes(whole[:-100])
    else:
        (shard / "shard.json").unlink()
    again, made, said = extract(cut, data)
    assert made.computed == lost
    assert said[0] == f"1 damaged shards in {made.folder} are made again"
    for a, b in zip(features.train.pixels, again.train.pixels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_takes_half_the_room_and_gives_way_where_it_cannot_hold():
    cut = network()
    _, data = dataset()
    exact = extract(cut, data)[0].train.pixels[0]
    features, _, _ = extract(cut, data, Cache(dtype="float16"))
    np.testing.assert_allclose(features.train.pixels[0], exact, rtol=1e-3)
    assert not np.array_equal(features.train.pixels[0], exact)
    assert features.train.pixels[0].dtype == np.float32
    sizes = {e.about["dtype"]: e.bytes for e in entries(cache_root())}
    assert 0.5 < sizes["float16"] / sizes["float32"] < 0.65  # with the list of images
    large = network()
    large.frozen.layers[1].kernel.assign(large.frozen.layers[1].kernel * 1000)
    features, _, said = extract(large, data, Cache(dtype="float16"))
    assert "a feature is too large for float16; they are kept as float32" in said
    assert features.train.pixels[0].max() > 65504


def test_a_full_disk_costs_the_cache_and_not_the_run(monkeypatch):
    cut = network()
    images, data = dataset()
    write = cache._write_array
    written = []

    def full(path, array):
        written.append(path)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, array)

    monkeypatch.setattr(cache, "_write_array", full)
    features, made, said = extract(cut, data)
    assert made.kept == "memory"
    assert said[-1] == "features are not kept on disk: No space left on device"
    np.testing.assert_allclose(
        features.val.pixels[0], expected(cut, images)[0][150:], rtol=1e-5, atol=1e-4
    )
    assert not list(cache_root().glob("*/.partial-*"))
    # what did reach the disk counts
    monkeypatch.setattr(cache, "_write_array", write)
    assert extract(cut, data)[1].computed == 170 - 64


def test_too_little_room_is_seen_before(monkeypatch, tmp_path):
    cut = network()
    _, data = dataset()
    assert place_for(cut, data, "auto")[0] == "disk"
    assert place_for(cut, data, "memory")[0] == "memory"
    monkeypatch.setattr(compute, "free_disk", lambda root: 50_000)
    kept, why = place_for(cut, data, "auto")
    assert kept == "memory"
    assert why.endswith("has 0 MB free, 0 MB are needed")
    monkeypatch.setattr(compute, "free_memory", lambda: 100_000)
    assert place_for(cut, data, "auto")[0] is None
    assert frozen_features(cut, data, "auto") is None
    monkeypatch.undo()
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file"))
    kept, why = place_for(cut, data, "auto")
    assert (kept, why) == ("memory", f"{tmp_path}/file/features cannot be written to")
    assert extract(cut, data)[1].kept == "memory"


def test_two_runs_at_once_share_the_work():
    cut = network()
    _, data = dataset()
    said, done = [], {}

    def second():
        done["second"] = frozen_features(cut, data, "auto", reporter=Listener(said))

    entry_folder = extract(cut, data)[1].folder
    for entry in entries(cache_root()):
        cache.remove(entry)
    other = CacheEntry(cache_root() / os.path.basename(entry_folder), cut.shapes, "float32")
    thread = threading.Thread(target=second)
    with other.held(lambda: None):
        thread.start()
        while not any("waiting" in line for line in said):
            time.sleep(0.01)
        first = [np.zeros((64, *shape), np.float32) for shape in cut.shapes]
        other.write(data.train.hashes[:64], first)
    thread.join()
    features, made = done["second"]
    assert made.computed == 170 - 64  # what the other wrote meanwhile is taken from it
    assert not np.asarray(features.train.pixels[0][:64]).any()


def test_a_file_that_vanished_is_named():
    cut = network()
    _, data = dataset()

    def gone():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    data.train.records[99] = Record("photos/99.png", "a", None, gone)
    with pytest.raises(DataError, match=r"no longer: photos/99\.png: No such file"):
        frozen_features(cut, data, "auto")


def test_views_are_drawn_once_and_the_validation_images_never():
    cut = network()
    images, data = dataset()
    drawn = []

    def draw(batch, decides):
        drawn.append(decides)
        return np.asarray(batch) // (2 if decides.startswith("0") else 4)

    views = Views(2, "halve and quarter", draw)
    features, made, _ = extract(cut, data, "auto", views=views)
    assert made.computed == 2 * 150 + 20
    assert len(drawn) == 2 * 5  # batches of 32
    for epoch, share in enumerate((2, 4, 2)):
        np.testing.assert_allclose(
            features.train.in_epoch(epoch).pixels[0],
            expected(cut, images[:150] // share)[0],
            rtol=1e-5,
            atol=1e-4,
        )
    np.testing.assert_allclose(
        features.val.in_epoch(1).pixels[0], expected(cut, images[150:])[0], rtol=1e-5, atol=1e-4
    )
    more = Views(3, "halve and quarter", draw)
    assert extract(cut, data, "auto", views=more)[1].computed == 150
    assert extract(cut, data, "auto", views=Views(2, "another", draw))[1].computed == 300


def test_listing_and_pruning():
    cut = network()
    _, data = dataset()
    old = extract(cut, data)[1].folder
    os.utime(os.path.join(old, "entry.json"), (1e9, 1e9))
    new = extract(network(seed=1), data, about="net")[1].folder
    found = entries(cache_root())
    assert [str(e.folder) for e in found] == [new, old]
    assert [e.images for e in found] == [170, 170]
    assert found[0].about["network"] == "net"
    assert prune(cache_root(), sum(e.bytes for e in found)) == []
    assert [str(e.folder) for e in prune(cache_root(), found[0].bytes)] == [old]
    assert not os.path.exists(old)
    assert extract(cut, data)[1].computed == 170


def _extract_slowly(folder):
    """In a process of its own: features of 640 images, ten shards, in about a second."""
    os.environ["TLKIT_CACHE"] = str(folder)
    compute.SHARD_IMAGES = 64
    choose = compute.choose_engine

    def slow(*given):
        engine = choose(*given)
        run = engine.run
        engine.run = CompiledModel(lambda images: (time.sleep(0.08), run(images))[1])
        return engine

    compute.choose_engine = slow
    frozen_features(network(), dataset(train=600, val=40)[1], "auto")


@pytest.mark.slow
def test_killed_ten_times_the_cache_is_whole_and_equal(tmp_path, monkeypatch):
    process = multiprocessing.get_context("forkserver")
    process.set_forkserver_preload(["tensorflow", "keras", "tests.features.test_cache"])
    rng = np.random.default_rng(0)
    rows = [0]
    for _ in range(10):
        child = process.Process(target=_extract_slowly, args=(tmp_path / "killed",))
        child.start()
        child.join(float(rng.uniform(0.3, 3)))
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        found = entries(tmp_path / "killed" / "features")
        rows.append(found[0].images if found else 0)
        assert rows[-1] >= rows[-2]  # what was whole stays
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "killed"))
    cut, (_, data) = network(), dataset(train=600, val=40)
    features, made, said = extract(cut, data)
    assert made.computed == 640 - rows[-1]
    assert not any("damaged" in line for line in said)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "whole"))
    whole, _, _ = extract(cut, data)
    for name in ("train", "val"):
        for a, b in zip(features.splits[name].pixels, whole.splits[name].pixels, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    def anonymous():
        with open("/proc/self/status") as file:
            return next(int(x.split()[1]) * 1024 for x in file if x.startswith("RssAnon"))

    cut = network(channels=200)  # 8 kB an image
    monkeypatch.setattr(compute, "SHARD_IMAGES", 1024)
    count = 50_000
    _, small = pictures(100)
    # a PNG may be followed by anything, so a hundred pictures make as many files as wanted
    files = [small.records[k % 100].read() + str(k).encode() for k in range(count)]
    records = [Record(str(k), "a", None, lambda d=data: d) for k, data in enumerate(files)]
    hashes = [hashlib.sha256(data).hexdigest() for data in files]
    split = Split(records, np.zeros(count, np.int32), hashes)
    _, val = pictures(20, 100)
    data = Dataset(
        Classification(["a"]), {"train": split, "val": val}, [], decode, (SIDE, SIDE), "8x8 crop"
    )
    frozen_features(cut, Dataset(**{**data.__dict__, "splits": {"train": val, "val": val}}), "auto")
    monkeypatch.setattr(compute, "free_memory", lambda: 100_000_000)
    before, peak, stop = anonymous(), [0], threading.Event()

    def watch():
        while not stop.wait(0.05):
            peak[0] = max(peak[0], anonymous())

    thread = threading.Thread(target=watch)
    thread.start()
    features, made, _ = extract(cut, data)
    rows = features.train.pixels[1][np.arange(0, count, 500)]
    stop.set()
    thread.join()
    assert (made.kept, made.computed, len(rows)) == ("disk", count, 100)
    kept = count * cut.bytes_per_image()
    assert kept > 350e6
    assert peak[0] - before < 0.4 * kept
