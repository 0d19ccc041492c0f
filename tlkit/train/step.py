"""The compiled training step: augment, forward, loss, gradients, update."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tlkit import registry
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

        def loss_of(logits: Any) -> Any:
            return self.loss(targets, logits, sample_weight=weights)

        if self.adversarial is None:
            logits = model(images, training=True)
            loss = loss_of(logits)
        else:
            logits, loss = self._adversarial(self.adversarial, model, images, loss_of)
        return logits, loss

    def _adversarial(
        self, config: Adversarial, model: Any, images: Any, loss_of: Any
    ) -> tuple[Any, Any]:
        """The clean loss and that of moved images or features, weighed."""
        import tensorflow as tf

        below, above = self.parts or (None, model)
        # features at a cut come as a list; the attack moves the one tensor there is
        images = images[0] if isinstance(images, list | tuple) else images
        values = images if below is None else below(images, training=True)
        logits = above(values, training=True)
        # moving statistics stay out of the search for the worst case
        moved = self.attack(
            lambda x: loss_of(above(x, training=False)),
            tf.stop_gradient(values),
            **config.attack.arguments,
        )
        if config.on == "image":
            moved = tf.clip_by_value(moved, 0.0, 255.0)
        # features keep the gradient to the layers below: only their displacement is fixed
        moved = values + tf.stop_gradient(moved - values)
        worse = loss_of(above(moved, training=True))
        return logits, (1 - config.weight) * loss_of(logits) + config.weight * worse


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


def make_step(
    model: Any,
    objective: Objective,
    augment: Sequence[Any],
    optimizer: Any,
    variables: list[Any],
    average: WeightAverage | None,
) -> Any:
    """The compiled training step: `(images, labels) -> (loss, right answers)`.

    Labels are class ids, or soft labels where the pipeline mixed them already.
    The right answer of a mixed image is the class with the larger share.
    """
    import tensorflow as tf

    classes = len(objective.class_weights)
    trained = variables + objective.regularization.variables
    scaled = hasattr(optimizer, "scale_loss") and hasattr(optimizer, "inner_optimizer")

    @tf.function(reduce_retracing=True, autograph=False)
    def step(images: Any, labels: Any) -> Any:
        targets = labels if labels.dtype.is_floating else tf.one_hot(labels, classes)
        images = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        images, targets = apply_augmentations(augment, images, targets)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in trained])
            with mixed_weights(objective.regularization, model):
                logits, loss = objective.of(model, images, targets)
            loss += tf.add_n(model.losses) if model.losses else 0.0
            target = optimizer.scale_loss(loss) if scaled else loss
        gradients = tape.gradient(target, [v.value for v in trained])
        optimizer.apply(gradients, trained)
        if average is not None:
            average.update()
        hits = tf.argmax(logits, -1) == tf.argmax(targets, -1)
        return loss, tf.reduce_sum(tf.cast(hits, tf.float32))

    return step
