"""Memory of a fit on 60,000 points, and how much of an epoch passes inside the compiled step.

python benchmarks/training.py
"""

from __future__ import annotations

import os
import threading
import time

import keras
import numpy as np
import psutil
from measure import fashion_pixels, seconds

import keras_pli as kp


class Epochs(keras.callbacks.Callback):
    """Times each epoch, and in it the calls of the compiled training function."""

    def on_train_begin(self, logs=None):
        self.took, self.inside = [], []
        compiled = self.model.train_function

        def timed(iterator):
            outputs, passed = seconds(compiled, iterator)
            self.inside[-1] += passed
            return outputs

        self.model.train_function = timed

    def on_epoch_begin(self, epoch, logs=None):
        self.inside.append(0.0)
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.took.append(time.perf_counter() - self._start)


def share_in_step(samples: int, batch_size: int) -> float:
    """Time in the compiled function as a share of an epoch's, the first two epochs left out."""
    x, *_ = fashion_pixels(samples, 10)
    z = x @ np.random.default_rng(0).normal(size=(784, 10)).astype("float32")  # as narrow as logits
    tsne = kp.ParametricTSNE(perplexity=30, seed=0)
    epochs = Epochs()
    tsne.fit(z, epochs=8, batch_size=batch_size, pretrain_epochs=0, callbacks=[epochs], verbose=0)
    return float(np.median(np.divide(epochs.inside, epochs.took)[2:]))


class Peak(threading.Thread):
    """Samples this process's memory until stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self._stop_asked = 0, threading.Event()

    def run(self):
        process = psutil.Process(os.getpid())
        while not self._stop_asked.wait(0.05):
            self.most = max(self.most, process.memory_info().rss)

    def stop(self) -> int:
        self._stop_asked.set()
        self.join()
        return self.most


def memory_of_fit(samples: int) -> tuple[float, float]:
    """Peak memory above what the process held with the data loaded, in GB, and seconds of the fit."""
    x, *_ = fashion_pixels(samples, 10)
    kp.ParametricTSNE(seed=0).fit(
        x[:2000], epochs=1, pretrain_epochs=1, steps_per_epoch=2, verbose=0
    )
    before = psutil.Process(os.getpid()).memory_info().rss
    peak = Peak()
    peak.start()
    tsne = kp.ParametricTSNE(perplexity=50, seed=0)
    # Of default batches, and long enough for XLA, which takes memory of its own.
    _, took = seconds(lambda: tsne.fit(x, epochs=5, verbose=0))
    return (peak.stop() - before) / 1e9, took


def main() -> None:
    """Prints both."""
    for batch_size in (500, 1000):
        share = share_in_step(10_000, batch_size)
        print(
            f"batches of {batch_size}: {share:.0%} of an epoch inside the compiled steps",
            flush=True,
        )
    gigabytes, took = memory_of_fit(60_000)
    print(f"60,000 × 784 points, 150 neighbours: {gigabytes:.2f} GB above the data, {took:.0f} s")


if __name__ == "__main__":
    main()
