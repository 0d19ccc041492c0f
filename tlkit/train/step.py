"""The compiled training step: augment, forward, loss, gradients, update."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.any_batch import for_any_batch
from tlkit.losses.of_function import as_loss
from tlkit.recipe.schema import Adversarial, Named
from tlkit.tasks.base import Task
from tlkit.train.ema import WeightAverage
from tlkit.train.regularize import Regularization


def make_loss(item: Named, class_counts: Any) -> Any:
    """The recipe's loss as a Keras loss on logits.

    Args:
        item: The recipe's `finetune.loss`.
        class_counts: Training images of each class.
    """
    arguments = dict(item.arguments)
    wrapped = registry.LOSSES[item.name].facts.wraps
    if wrapped:
        ((name, inner),) = arguments[wrapped].items()
        arguments[wrapped] = make_loss(Named(name, inner), class_counts)
    made = registry.LOSSES.make(item.name, {"class_counts": class_counts}, **arguments)
    return made if registry.LOSSES[item.name].is_packaged else as_loss(made)


def apply_augmentations(layers: Sequence[Any], images: Any, targets: Any) -> tuple[Any, Any]:
    """Runs augmentations in order; those that mix images mix their labels alike.

    Args:
        layers: Keras layers.
        images: float32 `(batch, height, width, 3)`.
        targets: One-hot or soft labels `(batch, classes)`.
    """
    import tensorflow as tf

    for layer in layers:
        if getattr(layer, "mixes_labels", False):
            mixed = layer({"images": images, "labels": targets}, training=True)
            if not isinstance(mixed, dict) or not {"images", "labels"} <= set(mixed):
                raise ValueError("gives no images and labels, though it says mixes_labels")
            images, targets = mixed["images"], mixed["labels"]
        else:
            images = layer(images, training=True)
        # served images are pixels; Keras's RandomSaturation, for one, leaves their range
        images = tf.clip_by_value(images, 0.0, 255.0)
    return images, targets


@dataclasses.dataclass
class Objective:
    """What a step minimises.

    Attributes:
        task: What is learned.
        loss: A Keras loss on logits and targets.
        weights: Of the outputs, as `Task.weights` gives them.
        regularization: Put in place on the variables.
        adversarial: Of the recipe.
        parts: Models from the input to features and from those to logits,
            where the attack is on features.
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
        """Whether the loss of a batch is the mean of its images' losses, and so the sum of parts."""
        return _innermost(self.loss) is self.loss

    def means(self, model: Any, images: Any, targets: Any) -> tuple[Any, list[Any]]:
        """Logits, and the mean loss of the images and of moved ones, where there are any.

        Neither penalties nor what a loss makes of the mean, as flooding does, are in them.
        """
        weights = self.task.image_weights(targets, self.weights)
        loss = _innermost(self.loss)
        # outputs that weigh apart are as many images of one output
        alone = len(weights.shape) == 2
        expected = targets[..., None] if alone else targets

        def loss_of(logits: Any) -> Any:
            given = logits[..., None] if alone else logits
            return loss(expected, given, sample_weight=weights)

        if self.adversarial is None:
            logits = model(images, training=True)
            return logits, [loss_of(logits)]
        return self._adversarial(self.adversarial, model, images, loss_of)

    def of_means(self, means: list[Any]) -> Any:
        """The loss of a batch by the means of all of its images."""
        losses = [_of_mean(self.loss, mean) for mean in means]
        if self.adversarial is None:
            return losses[0]
        weight = self.adversarial.weight
        return (1 - weight) * losses[0] + weight * losses[1]

    def _adversarial(
        self, config: Adversarial, model: Any, images: Any, loss_of: Callable[..., Any]
    ) -> tuple[Any, list[Any]]:
        """The clean loss and that of moved images or features."""
        import tensorflow as tf

        below, above = self.parts or (None, model)
        # features at a cut come as a list; the attack moves the one tensor there is
        images = images[0] if isinstance(images, list | tuple) else images
        values = images if below is None else below(images, training=True)
        logits = above(values, training=True)
        # moving statistics stay out of the search for the worst case; so does flooding, which
        # below its level would call the best case the worst
        moved = self.attack(
            lambda x: loss_of(above(x, training=False)),
            tf.stop_gradient(values),
            **config.attack.arguments,
        )
        if config.on == "image":
            moved = tf.clip_by_value(moved, 0.0, 255.0)
        # features keep the gradient to the layers below: only their displacement is fixed
        moved = values + tf.stop_gradient(moved - values)
        return logits, [loss_of(logits), loss_of(above(moved, training=True))]


def _innermost(loss: Any) -> Any:
    """What a loss that wraps another, as flooding does, is made of."""
    while hasattr(loss, "of_mean"):
        loss = loss.loss
    return loss


def _of_mean(loss: Any, mean: Any) -> Any:
    """What a loss is where that which it wraps has a mean."""
    return mean if _innermost(loss) is loss else loss.of_mean(_of_mean(loss.loss, mean))


@contextmanager
def mixed_weights(regularization: Regularization, model: Any) -> Iterator[None]:
    """Inside, chosen weights read as mixed; what layers update is kept afterwards."""
    import keras

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


class Step:
    """The compiled training step: `(images, labels) -> (loss, metric's sum, gradient norm)`.

    Labels are those of the task, or targets where the pipeline mixed them already. The norm is
    that of all gradients together, before clipping.

    Args:
        model: To logits.
        objective: What is minimised.
        augment: Keras layers, run inside the step.
        optimizer: Built.
        variables: What trains.
        average: Moving average of the weights, if wanted.

    Attributes:
        objective: What is minimised.
        micro_batch: Images whose activations are in memory at once; None for the whole batch.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        augment: Sequence[Any],
        optimizer: Any,
        variables: list[Any],
        average: WeightAverage | None,
    ):
        import tensorflow as tf

        self.micro_batch: int | None = None
        self.objective = objective
        self._model, self._augment = model, augment
        self._optimizer, self._average = optimizer, average
        self._trained = variables + objective.regularization.variables
        self._sums: list[list[Any]] = []
        self._reached: set[int] = set()  # places of the variables to which a gradient comes

        self._whole = for_any_batch(self._update_once)
        self._augmented = for_any_batch(self._inputs)
        self._part = for_any_batch(self._add_part)
        self._update = tf.function(self._update_by_sums, autograph=False)

    def __call__(self, images: Any, labels: Any) -> Any:
        size, count = self.micro_batch, len(labels)
        if size is None or size >= count:
            return self._whole(images, labels)
        return self._in_parts(images, labels, size, count)

    def _in_parts(self, images: Any, labels: Any, size: int, count: int) -> Any:
        """The same update from gradients that are summed over parts of the batch."""
        import tensorflow as tf

        if not self._sums:
            self._sums = [
                [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._trained]
                for _ in range(self._terms)
            ]
        for total in (total for sums in self._sums for total in sums):
            total.assign(tf.zeros(total.shape))
        # whole, as some mix the images of a batch
        images, targets = self._augmented(images, labels)
        terms, right = None, 0.0
        for first in range(0, count, size):
            part = tf.nest.map_structure(lambda x: x[first : first + size], images)  # noqa: B023
            share = tf.constant(min(size, count - first) / count, tf.float32)
            some, hits = self._part(part, targets[first : first + size], share)
            terms = some if terms is None else [a + b for a, b in zip(terms, some, strict=True)]
            right = right + hits
        loss, norm = self._update(terms)
        return loss, right, norm

    def _update_once(self, images: Any, labels: Any) -> Any:
        gradients, loss, right = self._gradients(*self._inputs(images, labels))
        return loss, right, self._apply(gradients)

    @property
    def _terms(self) -> int:
        """Sums of gradients over parts: one, or the means' and the penalties' each by itself."""
        if self.objective.is_linear:
            return 1
        return 2 if self.objective.adversarial is None else 3

    def _add_part(self, images: Any, targets: Any, share: Any) -> Any:
        """Adds a part's share of the gradients; returns the shares of what they are of."""
        import tensorflow as tf

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

    def _update_by_sums(self, terms: Any) -> Any:
        """The update by what the parts came to; the loss, and the length of the gradient."""
        import tensorflow as tf

        if self.objective.is_linear:
            loss, factors = terms[0], [1.0]
        else:
            # the chain rule: a function of the means, and beside it the penalties
            with tf.GradientTape() as tape:
                tape.watch(terms)
                loss = self.objective.of_means(terms[:-1]) + terms[-1]
            factors = tape.gradient(loss, terms)
        gradients = [
            tf.add_n([factor * total for factor, total in zip(factors, totals, strict=True)])
            if place in self._reached
            else None  # as of the whole batch: no decay, no clipping
            for place, totals in enumerate(zip(*self._sums, strict=True))
        ]
        return loss, self._apply(gradients)

    def _inputs(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Augmented images, and targets `(batch, classes)`."""
        import tensorflow as tf

        targets = self.objective.task.targets(labels)
        images = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        return apply_augmentations(self._augment, images, targets)

    def _forward(self, images: Any, targets: Any) -> tuple[Any, list[Any], Any]:
        """Logits, the means of losses, and penalties."""
        import tensorflow as tf

        with mixed_weights(self.objective.regularization, self._model):
            logits, means = self.objective.means(self._model, images, targets)
        return logits, means, tf.add_n(self._model.losses) if self._model.losses else 0.0

    def _gradients(self, images: Any, targets: Any) -> Any:
        """Gradients of the loss of a whole batch, that loss, and the sum of the metric."""
        import tensorflow as tf

        values = [v.value for v in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits, means, penalty = self._forward(images, targets)
            loss = self.objective.of_means(means) + penalty
            target = self._scaled(loss)
        return tape.gradient(target, values), loss, self.objective.task.score(logits, targets)

    def _scaled(self, loss: Any) -> Any:
        return self._optimizer.scale_loss(loss) if self._is_scaled else loss

    def _apply(self, gradients: list[Any]) -> Any:
        """Updates the weights; returns the length of the gradient."""
        import tensorflow as tf

        norm = tf.linalg.global_norm(gradients)
        if self._is_scaled:
            norm /= self._optimizer.dynamic_scale
        before = tf.identity(self._optimizer.iterations)
        self._optimizer.apply(gradients, self._trained)
        if self._average is not None:
            # no update is made while gradients are accumulated, or where loss scaling skips it
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
