"""The compiled training step: augment, forward, loss, gradients, update."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tlkit import registry
from tlkit.any_batch import for_any_batch
from tlkit.recipe.schema import Adversarial, Named
from tlkit.train.ema import WeightAverage
from tlkit.train.regularize import Regularization


def make_loss(item: Named, class_counts: Any) -> Any:
    """The recipe's loss as a Keras loss on logits.

    Args:
        item: The recipe's `finetune.loss`.
        class_counts: Training images of each class.
    """
    arguments = dict(item.arguments)
    wrapped = registry.LOSSES[item.name].facts.get("wraps")
    if wrapped:
        ((name, inner),) = arguments[wrapped].items()
        arguments[wrapped] = make_loss(Named(name, inner), class_counts)
    return registry.LOSSES.make(item.name, {"class_counts": class_counts}, **arguments)


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
        loss: A Keras loss on logits and soft labels.
        class_weights: Weight of each class, `(classes,)`.
        regularization: Put in place on the variables.
        adversarial: Of the recipe.
        parts: Models from the input to features and from those to logits,
            where the attack is on features.
    """

    loss: Any
    class_weights: Any
    regularization: Regularization
    adversarial: Adversarial | None = None
    parts: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        self.attack: Any = None
        if self.adversarial is not None:
            self.attack = registry.ADVERSARIES[self.adversarial.attack.name].load()

    def of(self, model: Any, images: Any, targets: Any) -> tuple[Any, Any]:
        """Logits and the loss of a batch, without penalties."""
        import tensorflow as tf

        # a class's weight counts by its share in a mixed label
        weights = tf.linalg.matvec(targets, self.class_weights)

        def loss_of(logits: Any, loss: Any = self.loss) -> Any:
            return loss(targets, logits, sample_weight=weights)

        if self.adversarial is None:
            logits = model(images, training=True)
            loss = loss_of(logits)
        else:
            logits, loss = self._adversarial(self.adversarial, model, images, loss_of)
        return logits, loss

    def _adversarial(
        self, config: Adversarial, model: Any, images: Any, loss_of: Callable[..., Any]
    ) -> tuple[Any, Any]:
        """The clean loss and that of moved images or features, weighed."""
        import tensorflow as tf

        below, above = self.parts or (None, model)
        # features at a cut come as a list; the attack moves the one tensor there is
        images = images[0] if isinstance(images, list | tuple) else images
        values = images if below is None else below(images, training=True)
        logits = above(values, training=True)
        # moving statistics stay out of the search for the worst case; so does flooding, which
        # below its level would call the best case the worst
        moved = self.attack(
            lambda x: loss_of(above(x, training=False), _innermost(self.loss)),
            tf.stop_gradient(values),
            **config.attack.arguments,
        )
        if config.on == "image":
            moved = tf.clip_by_value(moved, 0.0, 255.0)
        # features keep the gradient to the layers below: only their displacement is fixed
        moved = values + tf.stop_gradient(moved - values)
        worse = loss_of(above(moved, training=True))
        return logits, (1 - config.weight) * loss_of(logits) + config.weight * worse


def _innermost(loss: Any) -> Any:
    """What a loss that wraps another, as flooding does, is made of."""
    import keras

    while isinstance(getattr(loss, "loss", None), keras.losses.Loss):
        loss = loss.loss
    return loss


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
    """The compiled training step: `(images, labels) -> (loss, right answers, gradient norm)`.

    Labels are class ids, or soft labels where the pipeline mixed them already. The right
    answer of a mixed image is the class with the larger share. The norm is that of all
    gradients together, before clipping.

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
        self._sums: list[Any] = []

        self._whole = for_any_batch(self._update_once)
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
            self._sums = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._trained]
        for total in self._sums:
            total.assign(tf.zeros(total.shape))
        loss = right = 0.0
        for first in range(0, count, size):
            part = tf.nest.map_structure(lambda x: x[first : first + size], images)  # noqa: B023
            share = tf.constant(min(size, count - first) / count, tf.float32)
            one, hits = self._part(part, labels[first : first + size], share)
            loss, right = loss + one, right + hits
        return loss, right, self._update()

    def _update_once(self, images: Any, labels: Any) -> Any:
        gradients, loss, right = self._gradients(images, labels, 1.0)
        return loss, right, self._apply(gradients)

    def _add_part(self, images: Any, labels: Any, share: Any) -> Any:
        gradients, loss, right = self._gradients(images, labels, share)
        for total, gradient in zip(self._sums, gradients, strict=True):
            if gradient is not None:
                total.assign_add(gradient)
        return loss, right

    def _update_by_sums(self) -> Any:
        return self._apply([total.value() for total in self._sums])

    def _gradients(self, images: Any, labels: Any, share: Any) -> Any:
        """Gradients of a share of the loss, that share, and the right answers."""
        import tensorflow as tf

        classes = len(self.objective.class_weights)
        targets = labels if labels.dtype.is_floating else tf.one_hot(labels, classes)
        images = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        images, targets = apply_augmentations(self._augment, images, targets)
        values = [v.value for v in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            with mixed_weights(self.objective.regularization, self._model):
                logits, loss = self.objective.of(self._model, images, targets)
            loss += tf.add_n(self._model.losses) if self._model.losses else 0.0
            loss *= share
            target = self._optimizer.scale_loss(loss) if self._is_scaled else loss
        hits = tf.argmax(logits, -1) == tf.argmax(targets, -1)
        return tape.gradient(target, values), loss, tf.reduce_sum(tf.cast(hits, tf.float32))

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
