"""Makes recipes/digits.tfrecord again from scikit-learn's copy of the UCI digits.

    pip install scikit-learn pillow
    python tools/make_digits.py

1,797 scanned handwritten digits, 8 x 8 pixels in 17 shades of grey, each a
lossless WebP in a tf.train.Example with the features `image` and `label`. E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49, CC BY 4.0.
"""

from __future__ import annotations

import io
import pathlib

import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

TARGET = pathlib.Path(__file__).resolve().parent.parent / "recipes" / "digits.tfrecord"


def example(pixels, label: int) -> bytes:
    grey = (pixels * 255 / 16).round().astype("uint8")  # shade 16 becomes 255
    buffer = io.BytesIO()  # WebP, as its header is a third of PNG's
    Image.fromarray(grey).convert("RGB").save(buffer, "WEBP", lossless=True, quality=100, method=6)
    image = buffer.getvalue()
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(label).encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


if __name__ == "__main__":
    digits = load_digits()
    with tf.io.TFRecordWriter(str(TARGET)) as writer:
        for pixels, label in zip(digits.images, digits.target, strict=True):
            writer.write(example(pixels, int(label)))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")
