"""The published pipeline on TensorFlow, as a Lambda function: ``benchmarks.peer_tensorflow.handler``."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from benchmarks import peer

tf.config.threading.set_intra_op_parallelism_threads(peer.CPUS)
tf.config.threading.set_inter_op_parallelism_threads(peer.CPUS)
_arrays = peer.weights()
_weights = {name: tf.Variable(array, trainable=False) for name, array in _arrays.items() if array.ndim}


def _dense(x: Any, name: str) -> Any:
    return tf.matmul(x, _weights[f"{name}/kernel"]) + _weights[f"{name}/bias"]


@tf.function(input_signature=[tf.TensorSpec((None, 96, 64), tf.float32)])  # type: ignore[untyped-decorator]
def _embed(patches: Any) -> Any:
    """Compute VGGish (``vggish_slim.py``), with ReLU after the last layer as in IBM's code."""
    x = tf.expand_dims(patches, -1)
    for group in peer.CONVOLUTIONS:
        for name in group:
            x = tf.nn.relu(tf.nn.conv2d(x, _weights[f"{name}/kernel"], 1, "SAME") + _weights[f"{name}/bias"])
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
    x = tf.reshape(x, (-1, 12288))
    for name in peer.DENSE:
        x = tf.nn.relu(_dense(x, name))
    return x


@tf.function(input_signature=[tf.TensorSpec((10, 128), tf.float32)])  # type: ignore[untyped-decorator]
def _classify(codes: Any) -> Any:
    """Compute the multi-level attention classifier (arXiv:1803.02353)."""
    hidden, pooled = [codes], []
    for index in range(3):
        hidden.append(tf.nn.relu(_dense(hidden[-1], f"hidden_{index}")))
    for level, x in enumerate(hidden[2:]):
        scores, attention = tf.split(_dense(x, f"level_{level}"), 2, axis=-1)
        share = tf.clip_by_value(tf.nn.softmax(attention), 1e-7, 1 - 1e-7)
        share /= tf.reduce_sum(share, axis=0, keepdims=True)
        pooled.append(tf.reduce_sum(tf.sigmoid(scores) * share, axis=0))
    return tf.sigmoid(_dense(tf.concat(pooled, 0)[tf.newaxis], "output"))[0]


_pca = _arrays["pca_eigen_vectors"], _arrays["pca_means"]
del _arrays  # the networks hold copies

seconds = peer.seconds
handler = peer.function(lambda x: _embed(x).numpy(), lambda x: _classify(x).numpy(), _pca)
