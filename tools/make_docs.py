"""Writes docs/techniques.md and its pictures from the registries.

    python tools/make_docs.py            # page and pictures
    python tools/make_docs.py --page     # the page alone

The photo is matplotlib's sample, a portrait of Grace Hopper by the US Navy, in
the public domain.
"""

from __future__ import annotations

import pathlib
import sys

from tlkit import catalog, registry

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
DRAWN = {"augmentation": "jpg", "activation": "png", "schedule": "png"}


def page() -> str:
    """The text of docs/techniques.md."""
    lines = [
        "# Techniques",
        "",
        "Made by `python tools/make_docs.py` from the registries; `tlkit techniques NAME` shows the",
        "same. What Keras has is used as it is, under its name there; the rest is tlkit's own.",
        "",
    ]
    kinds: dict[str, list[catalog.Technique]] = {}
    for technique in catalog.techniques():
        kinds.setdefault(technique.kind, []).append(technique)
    for kind in kinds:
        title = catalog.PLURALS.get(kind, f"{kind}s")
        lines.append(f"- [{title}](#{title.replace(' ', '-')})")
    for kind, members in kinds.items():
        title = catalog.PLURALS.get(kind, f"{kind}s")
        lines += ["", f"## {title}", ""]
        for technique in members:
            lines += _entry(technique)
    return "\n".join(lines).rstrip() + "\n"


def _entry(t: catalog.Technique) -> list[str]:
    lines = [f"### {t.name}", "", f"`{t.source}`" if t.native else "tlkit's own", ""]
    lines += ["```text", t.doc, "```", ""]
    if t.kind in DRAWN and t.name != "halve_on_plateau":
        lines += [f"![{t.name}](techniques/{t.kind}_{t.name}.{DRAWN[t.kind]})", ""]
    if t.arguments:
        lines += ["| argument | value | default |", "|---|---|---|"]
        lines += [f"| `{n}` | {kind} | `{default}` |" for n, kind, default in t.arguments]
        lines += [""]
    if t.snippet:
        lines += ["```yaml", t.snippet, "```", ""]
    if t.python.startswith("from "):
        lines += ["```python", t.python, "```", ""]
    return lines


def pictures() -> None:
    """Draws each augmentation eight times, each activation and each schedule."""
    import keras
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib import cbook

    folder = DOCS / "techniques"
    folder.mkdir(exist_ok=True)
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        photo = plt.imread(file, format="jpg")[:512, :512]
    small = np.asarray(keras.ops.image.resize(photo.astype("float32"), (128, 128), antialias=True))
    for name, entry in registry.AUGMENTATIONS.items():
        layer = registry.AUGMENTATIONS.make(name, {"seed": 7, "image_size": (128, 128)})
        batch = np.repeat(small[None], 8, 0)
        if hasattr(layer, "adapt"):
            layer.adapt([batch])
        if entry.facts.mixes_labels:
            # what is mixed in: the same photo, mirrored and negative
            batch[1::2] = 255 - small[:, ::-1]
            given = {"images": batch, "labels": np.eye(8, dtype="float32")}
            drawn = layer(given, training=True)["images"]
        else:
            # one call a draw: some layers draw once a batch
            drawn = [layer(small[None], training=True)[0] for _ in range(8)]
        row = np.concatenate([small, *np.asarray(drawn)], axis=1)
        plt.imsave(
            folder / f"augmentation_{name}.jpg",
            np.clip(row, 0, 255).astype("uint8"),
            pil_kwargs={"quality": 80},
        )
    x = np.linspace(-4, 4, 400, dtype="float32")
    for name in registry.ACTIVATIONS:
        y = np.asarray(registry.ACTIVATIONS.build(name)(x.reshape(-1, 1) if name != "softmax" else
                                                        np.stack([x, 0 * x], 1)))[:, 0]  # fmt: skip
        label = "of (x, 0)" if name == "softmax" else ""
        _curve(plt, folder / f"activation_{name}.png", x, y, "x", f"{name} {label}")
    epochs, steps = 12, 20
    t = np.arange(epochs * steps) / steps
    needed = {name: catalog.EXAMPLES[name] for name in ("boundaries", "factors")}
    for name in registry.SCHEDULES:
        if registry.SCHEDULES[name].facts.makes_callback:
            continue
        arguments = needed if name == "piecewise" else {}
        schedule = registry.SCHEDULES.build(name, 0.1, epochs, steps, **arguments)
        y = np.array([float(schedule(step)) for step in range(epochs * steps)])
        _curve(plt, folder / f"schedule_{name}.png", t, y, "epoch", "learning rate")


def _curve(plt, path, x, y, across, up) -> None:
    figure, axes = plt.subplots(figsize=(4, 2.2), dpi=80)
    axes.plot(x, y, color="#3465a4")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    (DOCS / "techniques.md").write_text(page(), "utf-8")
    if "--page" not in sys.argv[1:]:
        pictures()
