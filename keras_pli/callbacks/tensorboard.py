"""Figures in TensorBoard's logs."""

from __future__ import annotations

import struct
from pathlib import Path

from matplotlib.figure import Figure

from .. import plotting


def log_figure(figure: Figure, log_dir: Path, tag: str, step: int) -> None:
    """Adds a figure to the logs of a folder, under a tag and for a step."""
    import tensorflow as tf  # only its event files are wanted; the other backends do without

    # Written by hand, since `tf.summary.image` needs TensorBoard itself, which TensorFlow leaves out.
    png = plotting.figure_to_png_bytes(figure)
    width, height = struct.unpack(">II", png[16:24])  # of the PNG's header
    image = tf.compat.v1.Summary.Image(width=width, height=height, encoded_image_string=png)
    entry = tf.compat.v1.Summary.Value(tag=tag, image=image)
    with tf.summary.create_file_writer(str(log_dir)).as_default():
        tf.summary.experimental.write_raw_pb(
            tf.compat.v1.Summary(value=[entry]).SerializeToString(), step=step
        )
