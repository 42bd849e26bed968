"""What the benchmarks share: data, figures of merit, and a fresh process for each system."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def fashion_pixels(train: int, test: int):
    """Raw Fashion-MNIST pixels in [0, 1] and labels: `(x_train, y_train, x_test, y_test)`."""
    import keras

    (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    x_train = x_train[:train].reshape(train, -1).astype("float32") / 255
    x_test = x_test[:test].reshape(test, -1).astype("float32") / 255
    return x_train, y_train[:train], x_test, y_test[:test]


def seconds(function, *arguments):
    """Runs a function and returns `(result, wall seconds)`."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def peak_megabytes() -> float:
    """The most memory this process has held."""
    # Linux hands the greatest `ru_maxrss` on to what a process starts; its status counts from the start.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quality(y_train, labels_train, x_test, y_test, labels_test) -> dict[str, float]:
    """Errors of held-out points and trustworthiness(12) on 5,000 of them, all by scikit-learn."""
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import KNeighborsClassifier

    def error(k: int) -> float:
        return 1 - KNeighborsClassifier(k).fit(y_train, labels_train).score(y_test, labels_test)

    some = slice(0, 5000)
    return {
        "1-NN error": error(1),
        "10-NN error": error(10),
        "trust(12)": trustworthiness(x_test[some], y_test[some], n_neighbors=12),
    }


LEFT_OUT = "left out"


def in_fresh_process(
    script: str, system: str, *arguments: str, timeout: float | None = None, **environment: str
) -> dict[str, float] | None:
    """Runs `script --only system` in a process of its own and returns the figures it prints.

    None, with a line that says so, where the system cannot be imported.
    """
    command = [sys.executable, script, "--only", system, *arguments]
    options = {"env": {**os.environ, **environment}, "timeout": timeout}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, **options)
    figures = json.loads(done.stdout.splitlines()[-1])
    if LEFT_OUT in figures:
        print(f"{system} is left out: {figures[LEFT_OUT]}", flush=True)
        return None
    return figures


def figures_of(modules: Mapping[str, str], system: str, measured: Callable[[], dict]) -> str:
    """What a system's process prints: its figures, or why the module of a peer cannot be imported."""
    try:
        if system in modules:
            import_module(modules[system])
    except Exception as error:  # a peer that is made for other versions raises what it will
        return json.dumps({LEFT_OUT: f"{type(error).__name__}: {error}".splitlines()[0]})
    return json.dumps(measured())


def median_rows(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over repeats."""
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
