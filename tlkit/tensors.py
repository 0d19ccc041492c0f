"""Names for Keras and TensorFlow types, without importing either."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    Tensor: TypeAlias = tf.Tensor
    KerasLayer: TypeAlias = keras.layers.Layer
    KerasLoss: TypeAlias = keras.losses.Loss
    KerasModel: TypeAlias = keras.Model
    KerasOptimizer: TypeAlias = keras.optimizers.Optimizer
    KerasSchedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule
    KerasVariable: TypeAlias = keras.Variable

    class Decoder(Protocol):
        """Decodes an encoded image to uint8 pixels `(height, width, 3)`; a `tf.function`."""

        def __call__(self, data: bytes | Tensor) -> Tensor: ...

        def get_concrete_function(self) -> Any:
            """The traced function, which knows its output shape."""

    # maps a batch of images or features to outputs
    Forward: TypeAlias = Callable[[Tensor], Tensor]
else:
    Tensor = KerasLayer = KerasLoss = KerasModel = KerasOptimizer = KerasVariable = Any
    Decoder = Forward = KerasSchedule = Any
