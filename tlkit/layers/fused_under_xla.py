"""Whether what is being traced will be compiled by XLA, where the fast paths do not serve."""

from __future__ import annotations


def under_xla() -> bool:
    """Whether the function being traced was marked `jit_compile=True`, itself or around it.

    TensorFlow only. A function that was traced before, and is called from a compiled one
    afterwards, is not traced again and not seen.
    """
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return bool(tf.config.optimizer.get_jit()) or bool(
        control_flow_util.GraphOrParentsInXlaContext(graph)
    )
