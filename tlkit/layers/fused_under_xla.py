"""Detects whether traced code will be compiled by XLA, where the fast paths do not work."""

from __future__ import annotations


def under_xla() -> bool:
    """Whether the function being traced, or one around it, is marked `jit_compile=True`.

    TensorFlow only. A function that was traced earlier and is later called from a compiled
    function is not traced again, so it is not detected.
    """
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return bool(tf.config.optimizer.get_jit()) or bool(
        control_flow_util.GraphOrParentsInXlaContext(graph)
    )
