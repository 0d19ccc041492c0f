"""The compiled training step: augment, forward, loss, gradients, update."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tlkit import registry
from tlkit.any_batch import for_any_batch
from tlkit.losses.of_function import as_loss
from tlkit.recipe.schema import Adversarial, Component
from tlkit.tasks.base import Task
from tlkit.tensors import KerasLoss, KerasModel, KerasOptimizer, KerasVariable, Tensor
from tlkit.train.ema import WeightAverage
from tlkit.train.regularize import Regularization


def make_loss(item: Component, class_counts: Any) -> KerasLoss:
    """The recipe's loss as a Keras loss on logits.

    Args:
        item: The recipe's `finetune.loss`.
        class_counts: Number of training images of each class.
    """
    arguments = dict(item.arguments)
    wrapped = registry.LOSSES[item.name].facts.wraps
    if wrapped:
        ((name, inner),) = arguments[wrapped].items()
        arguments[wrapped] = make_loss(Component(name, inner), class_counts)
    made = registry.LOSSES.make(item.name, {"class_counts": class_counts}, **arguments)
    return made if registry.LOSSES[item.name].is_packaged else as_loss(made)


def apply_augmentations(layers: Sequence[Any], images: Tensor, targets: Tensor) -> tuple[Any, Any]:
    """Applies augmentations in order; those that mix images mix the labels the same way.

    Args:
        layers: Keras layers.
        images: float32 `(batch, height, width, 3)`.
        targets: One-hot or soft labels `(batch, classes)`.
    """
    for layer in layers:
        if getattr(layer, "mixes_labels", False):
            mixed = layer({"images": images, "labels": targets}, training=True)
            if not isinstance(mixed, dict) or not {"images", "labels"} <= set(mixed):
                raise ValueError("gives no images and labels, though it says mixes_labels")
            images, targets = mixed["images"], mixed["labels"]
        else:
            images = layer(images, training=True)
        # pixels stay in [0, 255] when serving, but e.g. Keras's RandomSaturation leaves that range
        images = tf.clip_by_value(images, 0.0, 255.0)
    return images, targets


@dataclasses.dataclass
class Objective:
    """What a step minimises.

    Attributes:
        task: Task.
        loss: Keras loss on logits and targets.
        weights: Weights of the outputs, from `Task.weights`.
        regularization: Regularizers, already set on the variables.
        adversarial: The recipe's adversarial training.
        parts: Models from input to features and from features to logits, if the attack is on
            features.
    """

    task: Task
    loss: Any
    weights: np.ndarray
    regularization: Regularization
    adversarial: Adversarial | None = None
    parts: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        self.attack: Any = None
        if self.adversarial is not None:
            self.attack = registry.ADVERSARIES[self.adversarial.attack.name].by_position(
                "loss_of", "values"
            )

    @property
    def is_linear(self) -> bool:
        """Whether the batch loss is a mean over images, and so a weighted sum over parts."""
        return _innermost(self.loss) is self.loss

    def means(
        self, model: KerasModel, images: Tensor, targets: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits, and the mean losses of the images and, if any, of the adversarial ones.

        They exclude penalties, and what a loss does to the mean, as flooding does.
        """
        weights = self.task.image_weights(targets, self.weights)
        loss = _innermost(self.loss)
        # outputs with weights of their own are treated as separate images with one output
        alone = len(weights.shape) == 2
        expected = targets[..., None] if alone else targets

        def loss_of(logits: Tensor) -> Tensor:
            given = logits[..., None] if alone else logits
            return loss(expected, given, sample_weight=weights)

        if self.adversarial is None:
            logits = model(images, training=True)
            return logits, [loss_of(logits)]
        return self._adversarial(self.adversarial, model, images, loss_of)

    def of_means(self, means: list[Tensor]) -> Tensor:
        """The batch loss from the means over all of its images."""
        losses = [_of_mean(self.loss, mean) for mean in means]
        if self.adversarial is None:
            return losses[0]
        weight = self.adversarial.weight
        return (1 - weight) * losses[0] + weight * losses[1]

    def _adversarial(
        self, config: Adversarial, model: KerasModel, images: Tensor, loss_of: Callable[..., Any]
    ) -> tuple[Tensor, list[Tensor]]:
        """Mean losses of the clean and of the adversarial images or features."""
        below, above = self.parts or (None, model)
        # features at a cut come as a list; the attack perturbs the single tensor in it
        images = images[0] if isinstance(images, list | tuple) else images
        values = images if below is None else below(images, training=True)
        logits = above(values, training=True)
        # the search for the worst case must not update moving statistics; nor use flooding, which
        # below its level would take the best case for the worst
        moved = self.attack(
            lambda x: loss_of(above(x, training=False)),
            tf.stop_gradient(values),
            **config.attack.arguments,
        )
        if config.on == "image":
            moved = tf.clip_by_value(moved, 0.0, 255.0)
        # gradients still reach the layers below the features: only the perturbation is constant
        moved = values + tf.stop_gradient(moved - values)
        return logits, [loss_of(logits), loss_of(above(moved, training=True))]


def _innermost(loss: KerasLoss) -> KerasLoss:
    """The inner loss of a loss that wraps another, as flooding does."""
    while hasattr(loss, "of_mean"):
        loss = loss.loss
    return loss


def _of_mean(loss: KerasLoss, mean: Any) -> Tensor:
    """The value of a wrapping loss, given the mean of its inner loss."""
    return mean if _innermost(loss) is loss else loss.of_mean(_of_mean(loss.loss, mean))


@contextmanager
def mixed_weights(regularization: Regularization, model: KerasModel) -> Iterator[None]:
    """Context in which mixed weights replace some weights; layers' own updates are kept."""
    if not regularization.mixed:
        yield
        return
    mapping = [(v, mix(v)) for v, mix in regularization.mixed]
    replaced = {id(v) for v, _ in mapping}
    with keras.StatelessScope(state_mapping=mapping) as scope:
        yield
    for v in model.variables:
        value = scope.get_current_value(v)
        if value is not None and id(v) not in replaced:
            v.assign(value)


class StepValues(NamedTuple):
    """Values that a step returns.

    Attributes:
        loss: Loss of the batch.
        score: Sum of the metric over its images.
        norm: Global norm of the gradients, before clipping.
        rate: Learning rate of the optimizer.
        updates: Updates of the optimizer so far.
    """

    loss: float
    score: float
    norm: float
    rate: float
    updates: int


def read_values(given: Tensor) -> StepValues:
    """Waits for a step and reads its values in one transfer.

    Args:
        given: Output of `Step`.
    """
    loss, score, norm, rate, updates = np.asarray(given).tolist()
    return StepValues(loss, score, norm, rate, int(updates))


class Step:
    """The compiled training step: `(images, labels)` to a tensor of the values in `StepValues`.

    Read the tensor with `read_values`, best after starting the next step, so that a GPU does not
    wait for this process. Labels are the task's, or targets if the pipeline mixed them already.

    Args:
        model: Model to logits.
        objective: What is minimised.
        augment: Keras layers, run inside the step.
        optimizer: Optimizer, built.
        variables: Variables to train.
        average: Moving average of the weights, if wanted.

    Attributes:
        objective: What is minimised.
        micro_batch: Images whose activations are in memory at once; None for the whole batch.
    """

    def __init__(
        self,
        model: KerasModel,
        objective: Objective,
        augment: Sequence[Any],
        optimizer: KerasOptimizer,
        variables: list[KerasVariable],
        *,
        average: WeightAverage | None = None,
    ):
        self.micro_batch: int | None = None
        self.objective = objective
        self._model, self._augment = model, augment
        self._optimizer, self._average = optimizer, average
        self._trained = variables + objective.regularization.variables
        self._sums: list[list[Any]] = []  # tf.Variable
        self._reached: set[int] = set()  # indices of the variables that receive a gradient

        self._whole = for_any_batch(self._update_once)
        self._augmented = for_any_batch(self._inputs)
        self._part = for_any_batch(self._add_part)
        self._update = tf.function(self._update_by_sums, autograph=False)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        size, count = self.micro_batch, len(labels)
        if size is None or size >= count:
            return self._whole(images, labels)
        return self._in_parts(images, labels, size, count)

    def _in_parts(self, images: Tensor, labels: Tensor, size: int, count: int) -> Tensor:
        """The same update, from gradients summed over parts of the batch."""
        if not self._sums:
            self._sums = [
                [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._trained]
                for _ in range(self._terms)
            ]
        for total in (total for sums in self._sums for total in sums):
            total.assign(tf.zeros(total.shape))
        # not every short epoch is saved: a kill loses at most ten times what a save takes
        images, targets = self._augmented(images, labels)
        terms, right = None, 0.0
        for first in range(0, count, size):
            part = tf.nest.map_structure(lambda x: x[first : first + size], images)  # noqa: B023
            share = tf.constant(min(size, count - first) / count, tf.float32)
            some, hits = self._part(part, targets[first : first + size], share)
            terms = some if terms is None else [a + b for a, b in zip(terms, some, strict=True)]
            right = right + hits
        return self._update(terms, right)

    def _update_once(self, images: Tensor, labels: Tensor) -> Tensor:
        gradients, loss, right = self._gradients(*self._inputs(images, labels))
        return self._told(loss, right, self._apply(gradients))

    def _told(self, loss: Tensor, score: Tensor, norm: Tensor) -> Tensor:
        """The values of `StepValues` in one tensor; each is exact in float64."""
        rate, updates = self._optimizer.learning_rate, self._optimizer.iterations
        values = (loss, score, norm, rate, updates)
        return tf.stack([tf.cast(tf.convert_to_tensor(value), tf.float64) for value in values])

    @property
    def _terms(self) -> int:
        """Number of gradient sums: 1, or one for each mean and one for the penalties."""
        if self.objective.is_linear:
            return 1
        return 2 if self.objective.adversarial is None else 3

    def _add_part(self, images: Tensor, targets: Tensor, share: Any) -> Any:
        """Adds the weighted gradients of a part; returns its weighted loss terms and its score."""
        values = [v.value for v in self._trained]
        linear = self.objective.is_linear
        with tf.GradientTape(persistent=not linear, watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits, means, penalty = self._forward(images, targets)
            found = [self.objective.of_means(means) + penalty] if linear else [*means, penalty]
            terms = [share * tf.convert_to_tensor(term) for term in found]
            scaled = [self._scaled(term) for term in terms]
        for sums, term in zip(self._sums, scaled, strict=True):
            for place, gradient in enumerate(tape.gradient(term, values)):
                if gradient is not None:
                    self._reached.add(place)
                    sums[place].assign_add(gradient)
        return terms, self.objective.task.score(logits, targets)

    def _update_by_sums(self, terms: Any, score: Tensor) -> Tensor:
        """Updates the weights from the sums over all parts."""
        if self.objective.is_linear:
            loss, factors = terms[0], [1.0]
        else:
            # chain rule: the loss is a function of the means, plus the penalties
            with tf.GradientTape() as tape:
                tape.watch(terms)
                loss = self.objective.of_means(terms[:-1]) + terms[-1]
            factors = tape.gradient(loss, terms)
        gradients = [
            tf.add_n([factor * total for factor, total in zip(factors, totals, strict=True)])
            if place in self._reached
            else None  # as with the whole batch: no decay, no clipping
            for place, totals in enumerate(zip(*self._sums, strict=True))
        ]
        return self._told(loss, score, self._apply(gradients))

    def _inputs(self, images: Tensor, labels: Tensor) -> tuple[Any, Any]:
        """Augmented images, and targets `(batch, classes)`."""
        targets = self.objective.task.targets(labels)
        images = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        return apply_augmentations(self._augment, images, targets)

    def _forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Logits, mean losses and penalties."""
        with mixed_weights(self.objective.regularization, self._model):
            logits, means = self.objective.means(self._model, images, targets)
        return logits, means, tf.add_n(self._model.losses) if self._model.losses else 0.0

    def _gradients(self, images: Tensor, targets: Tensor) -> Any:
        """Gradients of the loss of a whole batch, the loss, and the sum of the metric."""
        values = [v.value for v in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits, means, penalty = self._forward(images, targets)
            loss = self.objective.of_means(means) + penalty
            target = self._scaled(loss)
        return tape.gradient(target, values), loss, self.objective.task.score(logits, targets)

    def _scaled(self, loss: Tensor) -> Tensor:
        return self._optimizer.scale_loss(loss) if self._is_scaled else loss

    def _apply(self, gradients: list[Tensor]) -> Tensor:
        """Updates the weights; returns the global norm of the gradients."""
        norm = tf.linalg.global_norm(gradients)
        if self._is_scaled:
            norm /= self._optimizer.dynamic_scale
        before = tf.identity(self._optimizer.iterations)
        self._optimizer.apply(gradients, self._trained)
        if self._average is not None:
            # there is no update while gradients accumulate, or if loss scaling skips the step
            updated = tf.convert_to_tensor(self._optimizer.iterations) > before
            tf.cond(updated, lambda: self._average_now(), lambda: None)
        return norm

    def _average_now(self) -> None:
        assert self._average is not None
        self._average.update()

    @property
    def _is_scaled(self) -> bool:
        return hasattr(self._optimizer, "scale_loss") and hasattr(
            self._optimizer, "inner_optimizer"
        )
