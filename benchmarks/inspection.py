"""Inspection side by side with plain loops and with peers, and its time and memory as the data grow.

Each figure is measured in a process of its own. A part is a function that prints a table; `--parts` chooses.

- `top`: the strongest places of 16 channels. Time and peak memory for 1,000, 10,000 and 60,000 images that
  are generated as they are needed; and the time of 1,000 against a loop that runs the model on image after
  image and keeps a heap for each channel.
- `maximise`, `landscape` and `influence`: images that activate classes most beside tf-keras-vis, the loss on
  a grid beside assigning weights point by point, TracIn beside captum; scripts of their own, with options.

    python benchmarks/inspection.py
    python benchmarks/inspection.py --parts top
"""

from __future__ import annotations

import argparse
import heapq
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measure import in_fresh_process, peak_megabytes, seconds

SIZES = (1_000, 10_000, 60_000)
CHANNELS, PLACES = 16, 9


def network():
    """A convolutional network of 28 by 28 pixels, with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(CHANNELS, 3, activation="relu", name="maps"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def generated(count: int):
    """Images by batches of 100, made as they are needed, as a `tf.data.Dataset`."""
    import tensorflow as tf

    def batches():
        for start in range(0, count, 100):
            yield np.random.default_rng(start).random((100, 28, 28, 1), dtype=np.float32)

    spec = tf.TensorSpec((None, 28, 28, 1), tf.float32)
    return tf.data.Dataset.from_generator(batches, output_signature=spec)


def find_top(count: int) -> dict[str, float]:
    """Seconds and memory of `top_activations` beyond those of a first run, which traces."""
    from keras_pli.inspection import top_activations

    model = network()
    top_activations(model, generated(200), "maps", k=PLACES)
    before = peak_megabytes()
    _, took = seconds(lambda: top_activations(model, generated(count), "maps", k=PLACES))
    return {"seconds": took, "peak MB": peak_megabytes(), "peak MB more": peak_megabytes() - before}


def find_by_loop(count: int) -> dict[str, float]:
    """Seconds of a loop over single images, without crops or projections."""
    import keras

    model = network()
    reader = keras.Model(model.inputs[0], model.get_layer("maps").output)
    heaps: list[list[tuple[float, int]]] = [[] for _ in range(CHANNELS)]

    def loop():
        images = (image for batch in generated(count) for image in batch)
        for number, image in enumerate(images):
            maps = reader(image[None], training=False).numpy()[0]
            for channel, heap in enumerate(heaps):
                heapq.heappush(heap, (float(maps[..., channel].max()), -number))
                if len(heap) > PLACES:
                    heapq.heappop(heap)

    _, took = seconds(loop)
    return {"seconds": took}


def top() -> None:
    """Prints time and memory by the number of images, and the time of a loop."""
    rows = []
    for size in SIZES:
        rows.append(
            {"images": size, **(in_fresh_process(__file__, "find_top", "--count", str(size)) or {})}
        )
    print(pd.DataFrame(rows).round(2).to_string(index=False), flush=True)
    loop = in_fresh_process(__file__, "find_by_loop", "--count", str(SIZES[0])) or {}
    times = loop["seconds"] / rows[0]["seconds"]
    print(f"A loop over {SIZES[0]:,} images: {loop['seconds']:.1f} s, {times:.1f} times as long.")


def script(name: str) -> Callable[[], None]:
    """Returns what runs another benchmark of this folder with its defaults."""
    command = [sys.executable, str(Path(__file__).with_name(name))]

    def run() -> None:
        subprocess.run(command, check=True)

    return run


PARTS: dict[str, Callable[[], None]] = {
    "top": top,
    "maximise": script("inspection_maximization.py"),
    "landscape": script("inspection_landscape.py"),
    "influence": script("inspection_influence.py"),
}
MEASURED: dict[str, Callable[[int], dict[str, float]]] = {
    "find_top": find_top,
    "find_by_loop": find_by_loop,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="with commas between (default: all)"
    )
    parser.add_argument("--only", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=SIZES[0], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(MEASURED[arguments.only](arguments.count)))
        return
    wanted = arguments.parts.split(",")
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        parser.error(f"--parts must be of {', '.join(PARTS)}. Received: {', '.join(unknown)}.")
    for name in wanted:
        print(f"{name}:", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    main()
