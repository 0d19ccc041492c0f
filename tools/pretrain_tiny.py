"""Makes tlkit/backbones/tiny.weights.h5 again: pretrains `tiny` on drawn images.

Every image is drawn by a program, so no photograph and no licence is involved.
There are three families of classes, and a class is a set of numbers drawn once
from the seed:

- strokes: one to three Bezier curves, drawn with a pen,
- shapes: a closed outline r(angle) given by a Fourier series, filled,
- textures: three gratings with their frequencies and directions.

Each draw of a class jitters those numbers, slants, turns, scales and shifts the
picture, and varies pen width, colours, resolution and noise. The network learns
to name the class; its classifier is thrown away.

    python tools/pretrain_tiny.py            # about an hour on 2 cores
    python tools/pretrain_tiny.py --picture draws.png
"""

from __future__ import annotations

import argparse
import math
import pathlib
import time

import numpy as np

SIZE = 32
POINTS = 16  # along each Bezier curve
STROKES = 3
HARMONICS = 5


def class_programs(rng: np.random.Generator, strokes: int, shapes: int, textures: int) -> dict:
    """The numbers that define every class, as arrays with one row a class."""
    curves = rng.uniform(-0.85, 0.85, (strokes, STROKES, 4, 2))
    for i in range(1, STROKES):  # most pens continue where they stopped
        joined = rng.random(strokes) < 0.6
        curves[joined, i, 0] = curves[joined, i - 1, 3]
    count = rng.integers(1, STROKES + 1, strokes)
    used = (np.arange(STROKES)[None] < count[:, None]).astype("float32")
    decay = 1.0 / np.arange(1, HARMONICS + 1)
    return {
        "curves": curves.astype("float32"),
        "used": used,
        "outline": (rng.normal(0, 0.3, (shapes, HARMONICS, 2)) * decay[None, :, None]).astype(
            "float32"
        ),
        "hole": np.where(rng.random(shapes) < 0.4, rng.uniform(0.3, 0.7, shapes), 0).astype(
            "float32"
        ),
        "frequency": rng.uniform(2.0, 14.0, (textures, 3)).astype("float32"),
        "direction": rng.uniform(0, math.pi, (textures, 3)).astype("float32"),
        "amplitude": rng.uniform(0.2, 1.0, (textures, 3)).astype("float32"),
        "sharp": rng.choice([1.0, 6.0], textures).astype("float32"),
    }


def make_drawer(programs: dict, batch: int):
    """A function (step seed) -> (images [batch, 32, 32, 3] in [-1, 1], class ids [batch])."""
    import tensorflow as tf

    n_strokes, n_shapes = len(programs["curves"]), len(programs["outline"])
    n_textures = len(programs["frequency"])
    p = {key: tf.constant(value) for key, value in programs.items()}
    axis = (np.arange(SIZE, dtype="float32") + 0.5) / SIZE * 2 - 1
    grid = tf.constant(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))  # (1024, xy)
    t = np.linspace(0, 1, POINTS, dtype="float32")[:, None]
    bezier = tf.constant(
        np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    )
    total = n_strokes + n_shapes + n_textures
    share = [round(batch * n / total) for n in (n_strokes, n_shapes)]
    share.append(batch - sum(share))

    def affine(n, seed, turn):
        """Pixel coordinates of n pictures, turned, slanted, scaled and shifted."""
        u = tf.random.stateless_uniform((n, 6), seed, -1.0, 1.0)
        angle, slant = u[:, 0] * turn, u[:, 1] * 0.35
        sx, sy = 1.15 + 0.3 * u[:, 2], 1.15 + 0.3 * u[:, 3]
        c, s = tf.cos(angle), tf.sin(angle)
        rows = tf.stack([tf.stack([c * sx, (slant - s) * sy], 1), tf.stack([s * sx, c * sy], 1)], 1)
        return tf.einsum("bij,pj->bpi", rows, grid) + 0.15 * u[:, None, 4:6]

    def draw_strokes(n, seed):
        seeds = tf.random.split(seed, 5)
        label = tf.random.stateless_uniform((n,), seeds[0], 0, n_strokes, tf.int32)
        curves = tf.gather(p["curves"], label)
        curves += 0.07 * tf.random.stateless_normal(tf.shape(curves), seeds[1])
        points = tf.einsum("tk,bskx->bstx", bezier, curves)
        far = (1 - tf.gather(p["used"], label))[:, :, None, None] * 100.0
        points = tf.reshape(points + far, (n, STROKES * POINTS, 2))
        pixel = affine(n, seeds[2], 0.3)
        distance = (
            tf.reduce_sum(pixel**2, -1, keepdims=True)
            - 2 * tf.matmul(pixel, points, transpose_b=True)
            + tf.reduce_sum(points**2, -1)[:, None]
        )
        nearest = tf.sqrt(tf.maximum(tf.reduce_min(distance, -1), 0.0))
        width = tf.random.stateless_uniform((n, 1), seeds[3], 0.06, 0.22)
        return tf.clip_by_value((width - nearest) / 0.08 + 0.5, 0, 1), label

    def draw_shapes(n, seed):
        seeds = tf.random.split(seed, 4)
        label = tf.random.stateless_uniform((n,), seeds[0], 0, n_shapes, tf.int32)
        outline = tf.gather(p["outline"], label)
        outline += 0.03 * tf.random.stateless_normal(tf.shape(outline), seeds[1])
        pixel = affine(n, seeds[2], 0.4)
        angle = tf.atan2(pixel[..., 1], pixel[..., 0])
        k = tf.range(1, HARMONICS + 1, dtype=tf.float32)
        wave = tf.stack([tf.cos(angle[..., None] * k), tf.sin(angle[..., None] * k)], -1)
        radius = 0.65 * tf.exp(tf.einsum("bpkx,bkx->bp", wave, outline))
        distance = tf.norm(pixel, axis=-1)
        inside = tf.clip_by_value((radius - distance) / 0.08 + 0.5, 0, 1)
        hole = radius * tf.gather(p["hole"], label)[:, None]
        return inside * tf.clip_by_value((distance - hole) / 0.08 + 0.5, 0, 1), label + n_strokes

    def draw_textures(n, seed):
        seeds = tf.random.split(seed, 4)
        label = tf.random.stateless_uniform((n,), seeds[0], 0, n_textures, tf.int32)
        pixel = affine(n, seeds[1], 0.2)
        direction = tf.gather(p["direction"], label)
        across = (
            pixel[..., None, 0] * tf.cos(direction)[:, None]
            + pixel[..., None, 1] * tf.sin(direction)[:, None]
        )
        phase = tf.random.stateless_uniform((n, 1, 3), seeds[2], 0, 2 * math.pi)
        waves = tf.sin(across * tf.gather(p["frequency"], label)[:, None] + phase)
        value = tf.reduce_sum(waves * tf.gather(p["amplitude"], label)[:, None], -1)
        return tf.sigmoid(
            value * tf.gather(p["sharp"], label)[:, None]
        ), label + n_strokes + n_shapes

    def paint(mask, seed):
        """Resolution, colours and noise for masks (n, 1024)."""
        n = mask.shape[0]
        seeds = tf.random.split(seed, 6)
        mask = tf.reshape(mask, (n, SIZE, SIZE, 1))
        coarse = [
            tf.image.resize(tf.nn.avg_pool2d(mask, k, k, "VALID"), (SIZE, SIZE)) for k in (2, 4)
        ]
        which = tf.random.stateless_uniform((n, 1, 1, 1), seeds[0])
        mask = tf.where(which < 0.35, coarse[1], tf.where(which < 0.6, coarse[0], mask))
        grey = tf.random.stateless_uniform((n, 1, 1, 1), seeds[1]) < 0.5
        ends = tf.random.stateless_uniform((n, 2, 1, 3), seeds[2], -1.0, 1.0)
        ends = tf.where(grey, ends[..., :1], ends)
        low = ends[:, :1]
        # the ink differs from the paper by at least half of the whole range
        high = tf.where(
            low > 0, low - 0.75 - 0.5 * ends[:, 1:] ** 2, low + 0.75 + 0.5 * ends[:, 1:] ** 2
        )
        plain = tf.random.stateless_uniform((n, 1, 1, 1), seeds[3])
        low = tf.where(plain < 0.3, -1.0, tf.where(plain > 0.85, 1.0, low))
        high = tf.where(plain < 0.3, 1.0, tf.where(plain > 0.85, -1.0, high))
        image = low + (high - low) * mask
        strength = 0.12 * tf.random.stateless_uniform((n, 1, 1, 1), seeds[4]) ** 2
        image += strength * tf.random.stateless_normal(tf.shape(image), seeds[5])
        return tf.clip_by_value(image, -1, 1)

    def draw(seed):
        seeds = tf.random.split(seed, 4)
        parts = [
            make(n, seeds[i])
            for i, (make, n) in enumerate(
                zip((draw_strokes, draw_shapes, draw_textures), share, strict=False)
            )
            if n
        ]
        mask = tf.concat([part[0] for part in parts], 0)
        return paint(mask, seeds[3]), tf.concat([part[1] for part in parts], 0)

    return draw, total


def pretrain(args: argparse.Namespace) -> None:
    import keras
    import tensorflow as tf

    from tlkit.backbones.tiny import Tiny

    keras.utils.set_random_seed(args.seed)
    programs = class_programs(
        np.random.default_rng(args.seed), args.strokes, args.shapes, args.textures
    )
    draw, classes = make_drawer(programs, args.batch)
    backbone = Tiny(input_shape=(None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, keras.layers.Dense(classes)(x))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, args.steps - 300, warmup_target=args.rate, warmup_steps=300
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    data = (
        tf.data.Dataset.range(args.steps)
        .map(lambda step: draw(tf.stack([tf.cast(args.seed, tf.int64), step])), 1)
        .prefetch(4)
    )
    start = time.time()
    epochs = 15
    model.fit(
        data,
        steps_per_epoch=args.steps // epochs,
        epochs=epochs,
        verbose=2,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: save_half(backbone, args.out))
        ],
    )
    print(f"{backbone.count_params():,} parameters, {time.time() - start:.0f} s")


def save_half(backbone, path: pathlib.Path) -> None:
    """Keras's own weight file, its arrays as float16: half the size, same layout."""
    import h5py

    full = path.with_suffix(".full.weights.h5")
    backbone.save_weights(full)
    with h5py.File(full) as source, h5py.File(path, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                target.create_dataset(name, data=item[()].astype("float16"))
            else:
                target.require_group(name).attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    full.unlink()
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def picture(args: argparse.Namespace) -> None:
    import tensorflow as tf
    from PIL import Image

    programs = class_programs(
        np.random.default_rng(args.seed), args.strokes, args.shapes, args.textures
    )
    draw, _ = make_drawer(programs, 288)
    images = ((draw(tf.constant([args.seed, 0]))[0].numpy() + 1) * 127.5).astype("uint8")
    sheet = images.reshape(12, 24, SIZE, SIZE, 3).swapaxes(1, 2).reshape(12 * SIZE, 24 * SIZE, 3)
    Image.fromarray(sheet).save(args.picture)


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--strokes", type=int, default=1200)
    parser.add_argument("--shapes", type=int, default=300)
    parser.add_argument("--textures", type=int, default=300)
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--out", type=pathlib.Path, default=here / "tlkit/backbones/tiny.weights.h5"
    )
    parser.add_argument("--picture", type=pathlib.Path, help="draw a sheet of examples and stop")
    options = parser.parse_args()
    if options.picture:
        picture(options)
    else:
        pretrain(options)
