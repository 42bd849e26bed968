"""What an accelerator is worth: fits and a retraining on a GPU beside the CPU, with XLA and without, in TF32.

Runs on Keras's JAX or TensorFlow backend, on a GPU where there is one and on the CPU in any case, each run in
a process of its own, the most important first. No run goes on past the budget; what was left out is said.

    KERAS_BACKEND=jax python benchmarks/accelerator.py               # at most 8 minutes
    KERAS_BACKEND=jax python benchmarks/accelerator.py --smoke       # does it run at all

The points are activations of a small classifier of Fashion-MNIST, or, where Keras has not stored that, of
images made of random factors. Their neighbours are searched once, on the CPU, and handed to every fit.

- `fit s` is a whole first fit: affinities, compilation, pre-training, training; of a retraining, all epochs.
- `first s` is the first epoch, which compiles; `step ms` a step of the later ones.
- Trustworthiness and errors are of held-out points. `map off` is the distance of their places from those of
  the first run of that fit, after the best rotation, root mean square in units of the map's spread: what
  rounding comes to in training. `pass off` is the same network under TF32: what it comes to in a pass.
- Without XLA TensorFlow runs its own compiled graph. JAX has nothing but XLA; what comes nearest are steps
  run operation by operation. A few are timed, and `fit s` is reckoned from them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from measure import fashion_pixels, in_fresh_process, quality, seconds

import keras_pli as kp

FLOAT32, TF32 = "float32", "TF32"
XLA, PLAIN = "XLA", "without"
FITS = ("small", "large")
EAGER_STEPS = 10  # timed after two that compile each operation
START_SECONDS = 10  # less is not enough for a process to start and say something


@dataclass(frozen=True)
class Sizes:
    """How much is measured; epochs of a fit are its own default where None."""

    small: int = 10_000
    large: int = 60_000
    held_out: int = 10_000
    fit_epochs: int | None = None
    retraining_epochs: int = 4


SMOKE = Sizes(small=600, large=1000, held_out=400, fit_epochs=2, retraining_epochs=2)


@dataclass(frozen=True)
class Run:
    """One line of the table."""

    task: str  # "small" or "large", a fit, or "retraining"
    device: str  # "gpu" or "cpu"
    precision: str = FLOAT32
    compiled: str = XLA

    def arguments(self) -> list[str]:
        choices = ["--device", self.device, "--precision", self.precision]
        return [*choices, "--compiled", self.compiled]

    def __str__(self) -> str:
        return f"{self.task}, {self.device}, {self.precision}, {self.compiled}"


def planned(devices: list[str], precisions: list[str]) -> list[Run]:
    """All runs, the most important first."""
    tasks = [*FITS, "retraining"]
    first = [Run(task, devices[0]) for task in tasks]
    rounded = [Run(task, devices[0], TF32) for task in tasks if TF32 in precisions]
    beside = [Run(task, device) for device in devices[1:] for task in tasks]
    plain = [
        Run(task, device, compiled=PLAIN) for device in devices for task in ("small", "retraining")
    ]
    return [*first, *rounded, *beside, *plain]


def stored_fashion() -> bool:
    """Whether Keras has Fashion-MNIST already, so that nothing is waited for where there is no network."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    return (home / "datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists()


def made_images(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 784 pixels in [0, 1] and labels: ten overlapping classes of factors, decoded at random."""
    random = np.random.default_rng(0)
    labels = random.integers(10, size=samples)
    factors = 1.3 * random.normal(size=(10, 12))[labels] + random.normal(size=(samples, 12))
    hidden = np.tanh(factors @ random.normal(size=(12, 64)) / 3)
    images = 1 / (1 + np.exp(-hidden @ random.normal(size=(64, 784)) / 4))
    return (images + 0.05 * random.normal(size=images.shape)).astype("float32"), labels


def images_and_labels(sizes: Sizes):
    """`(x, labels, x_test, labels_test)`."""
    if stored_fashion():
        return fashion_pixels(sizes.large, sizes.held_out)
    x, labels = made_images(sizes.large + sizes.held_out)
    return x[: sizes.large], labels[: sizes.large], x[sizes.large :], labels[sizes.large :]


def prepare(folder: Path, sizes: Sizes) -> dict[str, object]:
    """Stores a classifier, the activations of its hidden layer, and their neighbours."""
    keras.utils.set_random_seed(0)
    x, labels, x_test, labels_test = images_and_labels(sizes)
    hidden = keras.layers.Dense(64, activation="relu", name="hidden")
    classifier = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            hidden,
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(x, labels, epochs=3, batch_size=128, verbose=0)
    classifier.save(folder / "classifier.keras")
    z, z_test = (kp.activations(classifier, part, layer="hidden") for part in (x, x_test))
    found: dict[str, object] = {
        "images": "Fashion-MNIST" if stored_fashion() else "made images",
        "accuracy": classifier.evaluate(x_test, labels_test, verbose=0)[1],
        "name": device_name(),
    }
    for fit in FITS:
        some = z[: getattr(sizes, fit)]
        graph, found[f"{fit} search s"] = seconds(lambda z=some: kp.nearest_neighbors(z, seed=0))
        np.savez(folder / f"{fit}.npz", indices=graph.indices, distances=graph.distances)
    arrays = {"x": x, "labels": labels, "x_test": x_test, "labels_test": labels_test}
    np.savez(folder / "data.npz", z=z, z_test=z_test, **arrays)
    return found


def device_name() -> str:
    """What Keras computes on: a GPU's name, or the processor's with its cores."""
    if keras.backend.backend() == "jax":
        import jax

        gpus = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    else:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        gpus = [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in found]
    return gpus[0] if gpus else processor_name()


def processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'CPU'}, {len(os.sched_getaffinity(0))} cores"


def compute_in(precision: str) -> None:
    """Chooses how matrix products of float32 are rounded; on a CPU they are not."""
    if keras.backend.backend() == "jax":
        import jax

        switch = {FLOAT32: "highest", TF32: "tensorfloat32"}[precision]
        jax.config.update("jax_default_matmul_precision", switch)
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(precision == TF32)


class Epochs(keras.callbacks.Callback):
    """Times epochs, and in each the steps after the first two."""

    def __init__(self):
        super().__init__()
        self.took: list[float] = []
        self.later: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = self._second = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self._second = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):  # here the logs have been waited for
        now = time.perf_counter()
        self.took.append(now - self._start)
        self.later.append(now - self._second)

    def figures(self) -> dict[str, float]:
        step = np.median(self.took[1:]) / self.params["steps"]
        return {"first s": self.took[0], "step ms": 1000 * float(step)}


def compile_options(run: Run) -> dict[str, bool]:
    """JAX would run a model that is not compiled step by step, whichever of the two is asked for."""
    eager = run.compiled == PLAIN and keras.backend.backend() == "jax"
    return {"run_eagerly": True} if eager else {"jit_compile": run.compiled == XLA}


def is_eager(run: Run) -> bool:
    return "run_eagerly" in compile_options(run)


def measured_fit(run: Run, folder: Path, sizes: Sizes) -> dict[str, float]:
    """A fit; its map and its network are stored for the runs after it."""
    data, graph = np.load(folder / "data.npz"), np.load(folder / f"{run.task}.npz")
    z, z_test = data["z"][: getattr(sizes, run.task)], data["z_test"]
    tsne, epochs = kp.ParametricTSNE(seed=0), Epochs()
    tsne.compile(**compile_options(run))
    options = {"graph": (graph["indices"], graph["distances"]), "callbacks": [epochs]}
    if is_eager(run):
        eager = {"epochs": 1, "pretrain_epochs": 0, "steps_per_epoch": EAGER_STEPS + 2}
        tsne.fit(z, **options, **eager, verbose=0)
        return of_eager_steps(epochs, folder / f"{run.task}-steps.json")
    if sizes.fit_epochs:
        options["epochs"] = sizes.fit_epochs
    _, took = seconds(lambda: tsne.fit(z, **options, verbose=0))
    y, y_test = (tsne.predict(part, batch_size=1000, verbose=0) for part in (z, z_test))
    labels = data["labels"][: len(z)]
    found = quality(y, labels, z_test, y_test, data["labels_test"])
    kept = {name: found[name] for name in ("trust(12)", "10-NN error")}
    figures = {"fit s": took, **epochs.figures(), **kept}
    first = folder / f"{run.task}-map.npy"
    if first.exists():
        return {**figures, "map off": distance(y_test, np.load(first))}
    np.save(first, y_test)
    tsne.save(folder / f"{run.task}.keras")
    note_steps(epochs, folder / f"{run.task}-steps.json")
    compute_in(TF32)
    other = tsne.predict(z_test, batch_size=1000, verbose=0)
    return {**figures, "map off": 0.0, "pass off": distance(other, y_test)}


def measured_retraining(run: Run, folder: Path, sizes: Sizes) -> dict[str, float]:
    """Retraining of the classifier on the small fit's map, with one cluster contracted and two separated."""
    data = np.load(folder / "data.npz")
    x, labels = data["x"], data["labels"]
    tsne = keras.saving.load_model(folder / "small.keras")
    classifier = keras.saving.load_model(folder / "classifier.keras")
    keras.utils.set_random_seed(0)
    y = tsne.predict(data["z"], batch_size=1000, verbose=0)
    far = 0.5 * float(np.sqrt(np.var(y, axis=0).sum()))
    plan = kp.InterventionPlan([kp.Contract(4, factor=0.5), kp.Separate(2, 6, distance=far)])
    targets, _ = plan.apply(y, labels)
    pli, epochs = kp.PLIModel(classifier, tsne, layer="hidden"), Epochs()
    loss = kp.PLILoss("sparse_categorical_crossentropy", embedding_weight=0.1)
    pli.compile(keras.optimizers.Adam(1e-4), loss=loss, **compile_options(run))
    batch, wanted = 250, {"label": labels, "embedding": targets}
    options = {"batch_size": batch, "callbacks": [epochs], "verbose": 0}
    if is_eager(run):
        some = slice(0, batch * (EAGER_STEPS + 2))
        few = {name: values[some] for name, values in wanted.items()}
        pli.fit(x[some], few, epochs=1, **options)
        return of_eager_steps(epochs, folder / "retraining-steps.json")
    history, took = seconds(lambda: pli.fit(x, wanted, epochs=sizes.retraining_epochs, **options))
    if not (folder / "retraining-steps.json").exists():
        note_steps(epochs, folder / "retraining-steps.json")
    found = classifier.predict(data["x_test"], batch_size=1000, verbose=0).argmax(axis=1)
    right = float(np.mean(found == data["labels_test"]))
    end = history.history["embedding_loss"][-1]
    return {"fit s": took, **epochs.figures(), "accuracy": right, "embedding loss": end}


def note_steps(epochs: Epochs, path: Path) -> None:
    path.write_text(json.dumps(len(epochs.took) * epochs.params["steps"]))


def of_eager_steps(epochs: Epochs, path: Path) -> dict[str, float]:
    """The time of a step, and what as many as the compiled run took would come to."""
    step = epochs.later[0] / (epochs.params["steps"] - 2)
    return {"fit s": step * json.loads(path.read_text()), "step ms": 1000 * step}


def distance(y: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square distance of two maps after the best rotation or reflection, in units of spread."""
    from scipy.linalg import orthogonal_procrustes

    y, reference = y - y.mean(axis=0), reference - reference.mean(axis=0)
    rotation, _ = orthogonal_procrustes(y, reference)
    return float(np.linalg.norm(y @ rotation - reference) / np.linalg.norm(reference))


def in_child(arguments: argparse.Namespace, sizes: Sizes) -> dict[str, object]:
    """What a process of its own measures and prints."""
    compute_in(arguments.precision)
    if arguments.only == "prepare":
        return prepare(arguments.folder, sizes)
    run = Run(arguments.only, arguments.device, arguments.precision, arguments.compiled)
    measured = measured_fit if run.task in FITS else measured_retraining
    return {"on": device_name(), **measured(run, arguments.folder, sizes)}


def row_of(run: Run, found: dict, sizes: Sizes) -> dict[str, object]:
    size = sizes.large if run.task == "retraining" else getattr(sizes, run.task)
    kind = "retraining" if run.task == "retraining" else "fit"
    compiled = run.compiled
    if compiled == PLAIN and keras.backend.backend() == "jax":
        compiled = f"by operation, from {EAGER_STEPS} steps"
    named = {"device": found.pop("on"), "run": f"{kind} of {size:,}"}
    return {**named, "precision": run.precision, "XLA": compiled, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="budget of all runs together")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, TF32 on a CPU, too")
    for name, default in (("only", None), ("device", "cpu"), ("precision", FLOAT32)):
        parser.add_argument(f"--{name}", default=default, help=argparse.SUPPRESS)
    parser.add_argument("--compiled", default=XLA, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = SMOKE if arguments.smoke else Sizes()
    if arguments.only:
        print(json.dumps(in_child(arguments, sizes)))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_all(Path(folder), sizes, time.monotonic() + 60 * arguments.minutes)


def measure_all(folder: Path, sizes: Sizes, end: float) -> None:
    """Runs what the time allows and prints the table."""
    shared = ["--folder", str(folder), *(["--smoke"] if sizes is SMOKE else [])]

    def child(task: str, *options: str, **environment: str):
        left = end - time.monotonic()
        if left < START_SECONDS:
            raise subprocess.TimeoutExpired(task, left)
        return in_fresh_process(__file__, task, *shared, *options, timeout=left, **environment)

    found = child("prepare")
    searches = ", ".join(
        f"{getattr(sizes, fit):,} in {found[f'{fit} search s']:.1f} s" for fit in FITS
    )
    print(
        f"Keras on {keras.backend.backend()}; 64 activations of a classifier of {found['images']} "
        f"with accuracy {found['accuracy']:.3f}; neighbours of {searches}",
        flush=True,
    )
    on_gpu = found["name"] != processor_name()
    if not on_gpu:
        print("There is no GPU: float32 is not rounded to TF32 on a CPU.")
    precisions = [FLOAT32, TF32] if on_gpu or sizes is SMOKE else [FLOAT32]
    rows, left_out = [], []
    for run in planned(["gpu", "cpu"] if on_gpu else ["cpu"], precisions):
        environment = (
            {} if run.device == "gpu" else {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        )
        try:
            rows.append(row_of(run, child(run.task, *run.arguments(), **environment), sizes))
            print(f"{run}: {rows[-1]['fit s']:.1f} s", flush=True)
        except subprocess.TimeoutExpired:
            left_out.append(f"{run} (no time)")
        except subprocess.CalledProcessError as error:  # its own message stands above
            left_out.append(f"{run} (ended with code {error.returncode})")
    digits = {"fit s": 1, "first s": 2, "step ms": 2}
    print(pd.DataFrame(rows).round(digits).round(4).to_string(index=False, na_rep=""))
    if left_out:
        print("Left out:", "; ".join(left_out))


if __name__ == "__main__":
    main()
