"""A finished run, opened: its recipe, its task and its model."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit import registry, steps
from tlkit.data.decode import make_preparer
from tlkit.data.labels import read_labels
from tlkit.errors import RunError
from tlkit.features.engine import WORTH_AN_ENGINE
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Recipe
from tlkit.runs import folder as run_folder
from tlkit.tasks.base import Task
from tlkit.tasks.classification import Classification
from tlkit.tasks.find import read_task
from tlkit.tensors import Decoder, KerasModel, Tensor


@dataclasses.dataclass
class TrainedRun:
    """A finished run; its model is loaded when first used.

    Attributes:
        folder: Run folder.
        recipe: Recipe, with all defaults.
        task: Task that it was trained on.
        image_size: Height and width in pixels.
    """

    folder: pathlib.Path
    recipe: Recipe
    task: Task
    image_size: tuple[int, int]
    _passes: dict[tuple[str, bool], Callable[[Any], Any]] = dataclasses.field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return self.task.outputs

    @functools.cached_property
    def model(self) -> KerasModel:
        """Model from RGB in [0, 255] to the task's outputs.

        Raises:
            RunError: if the number of classes differs from labels.txt.
        """
        import keras

        model = keras.models.load_model(self.file, compile=False, safe_mode=True)
        self._expect(model.output_shape[-1])
        return model

    @functools.cached_property
    def logits(self) -> KerasModel:
        """The same model up to its logits, before the activation."""
        from tlkit.model import before_activation

        return before_activation(self.model)

    @property
    def file(self) -> pathlib.Path:
        """Path of the model."""
        return self.folder / "model.keras"

    def _expect(self, classes: int) -> None:
        if classes != len(self.classes):
            raise RunError(
                f"labels.txt names {len(self.classes)} classes, the model has {classes}",
                where=str(self.folder),
            )

    def prepare(self) -> Decoder:
        """Decoder with the run's own settings."""
        return self._preparer

    @functools.cached_property
    def _preparer(self) -> Decoder:
        data = self.recipe.data
        return make_preparer(self.image_size, data.resize, data.antialias)

    def kept_forward(
        self, images: Tensor, count: int, engine: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """`forward`, cached once for few images and once for many."""
        key = engine, count * math.prod(self.image_size) >= WORTH_AN_ENGINE
        if key not in self._passes:
            self._passes[key] = self.forward(images, count, engine, say)
        return self._passes[key]

    def forward(
        self, images: Tensor, count: int, engine: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """The fastest compiled model to logits; a cached engine is read from the run folder.

        Args:
            images: Sample of the inputs, uint8.
            count: Number of images to come.
            engine: `auto`, or the name of an engine that may round more than float32 does.
            say: Called with which engine was chosen.

        Raises:
            RunError: if the number of classes of the model differs from labels.txt.
        """
        from tlkit.evaluate.forward import make_fast_forward
        from tlkit.features.engine_cache import keep_engine, kept_engine

        place = self.folder / "engine"
        kept = kept_engine(self.file, place, engine, engine == "auto", say)
        if kept is None:
            return make_fast_forward(
                self.logits,
                images,
                count,
                engine,
                say,
                keep=lambda made: keep_engine(made, self.file, place, say),
            )
        say(f"computed by engine {kept}, kept in {place}")
        run = kept.run

        def forward(given: Any) -> np.ndarray:
            logits: np.ndarray = run(given)[0]
            self._expect(logits.shape[-1])
            return logits

        return forward


def load_trained_run(folder: str | pathlib.Path) -> TrainedRun:
    """Opens a finished run.

    Raises:
        RunError: if it is not finished, or one of its files is missing.
    """
    path = run_folder.open_run(folder, "model.keras")
    recipe = load_recipe(path / "resolved.yaml")
    steps.start_tensorflow(recipe)
    for thing in registry.own_things_in(run_folder.recipe_yaml(recipe), (registry.TRACKERS,)):
        thing.load()  # so that Keras finds its class when loading the model
    from tlkit.model import image_size

    if recipe.model.head.name == "original":
        from tlkit.backbones.imagenet import imagenet_classes

        classes = imagenet_classes()
    else:
        labels = path / "labels.txt"
        if not labels.is_file():
            raise RunError("has no labels.txt", where=str(path))
        classes = read_labels(labels)
    task: Task = Classification(classes)
    if (path / "task.json").is_file():
        task = read_task({**run_folder.read_json(path / "task.json"), "outputs": classes})
    return TrainedRun(path, recipe, task, image_size(recipe))
