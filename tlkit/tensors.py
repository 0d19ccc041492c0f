"""Names for the types of Keras and TensorFlow, which this file does not import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    Tensor: TypeAlias = tf.Tensor
    KerasLayer: TypeAlias = keras.layers.Layer
    KerasLoss: TypeAlias = keras.losses.Loss
    KerasModel: TypeAlias = keras.Model
else:
    Tensor = KerasLayer = KerasLoss = KerasModel = Any
