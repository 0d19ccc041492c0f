"""TFRecord files as people have them: compressed, sharded, called otherwise."""

import gzip
import pathlib
import struct
import zlib

import pytest

from tlkit.data.sources.tfrecord import is_tfrecord, masked_crc32c, tfrecord
from tlkit.draft import draft_recipe, found_in
from tlkit.errors import DataError
from tlkit.recipe.load import load_recipe


@pytest.fixture(scope="module")
def example():
    import tensorflow as tf

    def make(image: bytes, label: str) -> bytes:
        def of(value):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

        features = {"image": of(image), "label": of(label.encode())}
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    return make


def write(file: pathlib.Path, examples, compression="") -> pathlib.Path:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for item in examples:
            writer.write(item)
    return file


def test_the_checksum_is_that_of_the_format():
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8a9136aa
    crc = 0x8A9136AA
    assert masked_crc32c(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("kind", ["", "GZIP", "ZLIB"])
@pytest.mark.parametrize("name", ["a.tfrec", "a.tfrecord.gz", "a.records", "noending"])
def test_compressed_files_give_the_same_under_any_name(example, tmp_path, kind, name):
    rows = [(bytes([65 + n]) * (n * 4000 + 1), ["cat", "dog"][n % 2]) for n in range(6)]
    file = write(tmp_path / name, [example(*row) for row in rows], kind)
    assert is_tfrecord(file)
    assert found_in(file).source == "tfrecord"
    records = tfrecord(train=str(file)).records
    assert [(r.read(), r.label, r.name) for r in records] == [
        (image, label, f"{name}:{n}") for n, (image, label) in enumerate(rows)
    ]


def test_a_plain_file_whose_first_length_looks_like_zlib_is_plain(example, tmp_path):
    image = b"x" * 0x9C78
    image = image[: 0x9C78 - (len(example(image, "cat")) - len(image))]
    file = write(tmp_path / "a", [example(image, "cat"), example(b"y", "dog")])
    assert file.read_bytes()[:2] == b"\x78\x9c"  # zlib's own first bytes
    assert tfrecord(train=str(file)).records[0].read() == image


def test_cut_and_padded_compressed_files(example, tmp_path):
    whole = write(tmp_path / "a", [example(b"x" * 5000, "cat")], "GZIP").read_bytes()
    (tmp_path / "b").write_bytes(whole[:-20])
    with pytest.raises(DataError, match="damaged or cut short"):
        tfrecord(train=str(tmp_path / "b"))
    raw = write(tmp_path / "c", [example(bytes([n]), "cat") for n in range(3)]).read_bytes()
    cut = len(raw) // 3
    (tmp_path / "d").write_bytes(gzip.compress(raw[:cut]) + gzip.compress(raw[cut:]) + bytes(512))
    assert [r.read() for r in tfrecord(train=str(tmp_path / "d")).records] == [b"\0", b"\1", b"\2"]
    packer = zlib.compressobj()
    bomb = packer.compress(struct.pack("<Q", 1) + bytes(150_000_000)) + packer.flush()
    (tmp_path / "e").write_bytes(bomb)
    with pytest.raises(DataError, match="archive bomb"):
        tfrecord(train=str(tmp_path / "e"))


def test_a_folder_of_shards_is_read_by_their_words(example, tmp_path):
    root = tmp_path / "shards"
    root.mkdir()
    for n in range(3):
        write(root / f"pets-train.tfrecord-{n:05d}-of-00003", [example(b"t%d" % n, "ab"[n % 2])])
    write(root / "pets-validation.tfrecord-00000-of-00001", [example(b"v", "a")])
    (root / "labels.txt").write_text("a\nb\n")
    draft = draft_recipe(root, "tiny", tmp_path)
    (tmp_path / "r.yaml").write_text(draft.text)
    given = load_recipe(tmp_path / "r.yaml").data.source
    assert given.name == "tfrecord"
    records = tfrecord(**given.arguments).records
    assert [(r.read(), r.split) for r in records] == [
        (b"t0", "train"), (b"t1", "train"), (b"t2", "train"), (b"v", "val")
    ]  # fmt: skip
    one = draft_recipe(root / "pets-train.tfrecord-00001-of-00003", "tiny", tmp_path)
    assert "train: 'shards/pets-train.tfrecord-*-of-00003'" in one.text
    assert [r.read() for r in tfrecord(train=str(root)).records] == [b"t0", b"t1", b"t2", b"v"]
    (root / "pets-train.tfrecord-00001-of-00003").unlink()
    with pytest.raises(DataError, match=r"1 of 3 shards are missing: -00001-of-00003"):
        tfrecord(train=str(root / "pets-train*"))


def test_a_mark_at_the_start_of_the_classes_is_no_part_of_a_name(tmp_path):
    import tensorflow as tf

    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    features = tf.train.Features(feature={"image": image, "label": label})
    file = write(tmp_path / "a", [tf.train.Example(features=features).SerializeToString()])
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    assert tfrecord(train=str(file), classes=str(tmp_path / "c.txt")).classes == ["cat", "dog"]
