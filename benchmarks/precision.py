"""Whether heads trained on bfloat16 features do as well on the features that are served.

    python benchmarks/precision.py

MobileNetV2's pooled features of each photo set's training images, by OpenVINO in bfloat16 and
in float32; then linear heads (l2 0.01) over five stratified folds, solved on one and tested
on the other. Needs the folder that TLKIT_TEST_ASSETS names, and a processor with bfloat16.
"""

from __future__ import annotations

import os
import pathlib

SETS = ("hymenoptera", "flowers", "surface_defects", "rsscn7")
L2 = 1e-2


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    from tlkit import registry
    from tlkit.features.engine import compare
    from tlkit.features.lbfgs import FOLDS, solve_head
    from tlkit.features.split_network import whole
    from tlkit.tasks.folds import stratified_folds
    from tlkit.tasks.link import SOFTMAX

    assets = pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(224, 224, 3), pooling="avg"
    )
    base.load_weights(assets / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5")
    image = keras.Input((224, 224, 3))
    model = whole(keras.Model(image, base(keras.layers.Rescaling(1 / 127.5, -1.0)(image)))).frozen
    engines = [registry.ENGINES.build(name, model) for name in ("openvino", "openvino-float32")]
    print("| | cosine | bfloat16, then float32 | float32 throughout |\n|---|---|---|---|")
    for data in SETS:
        given = keras.utils.image_dataset_from_directory(
            assets / "data" / data / "train", image_size=(224, 224), batch_size=64,
            shuffle=False, crop_to_aspect_ratio=True, verbose=0,
        )  # fmt: skip
        parts = [(x.numpy().round().astype("uint8"), y.numpy()) for x, y in given]
        labels = np.concatenate([y for _, y in parts])
        low, full = (np.concatenate([run(x)[0] for x, _ in parts]) for run in engines)
        cosine, _ = compare([full], [low])
        targets = np.eye(labels.max() + 1)[labels]
        folds = stratified_folds(labels, FOLDS, 0)
        accuracies = []
        for trained_on in (low, full):
            right = []
            for fold in range(FOLDS):
                out = folds == fold
                head = solve_head(trained_on[~out], targets[~out], L2, link=SOFTMAX)
                right.append((full[out] @ head.kernel + head.bias).argmax(1) == labels[out])
            accuracies.append(np.concatenate(right).mean())
        print(f"| {data} | {cosine:.4f} | {accuracies[0]:.3f} | {accuracies[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
