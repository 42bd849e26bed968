"""Beyond one process: seconds, memory and bytes of explanations on Ray, and of training on replicas.

Fashion-MNIST, repeated to the number of images, lies as Parquet in files of 2,000. The plain loop reads them,
explains batches of 64 by integrated gradients in 32 steps with one thread, and writes Parquet; on Ray, 1 or 2
actors do. A training is Keras's `fit` of the same network on one replica, on two of MirroredStrategy, and by
two workers.
Each point runs in processes of its own and is kept in a file: called again, the script makes what is missing.
Then a model of cost is fitted to the points.

Memory is the most that all processes held at a time, without what they share, which is Ray's object store.
Read and written are the files; passed on is what goes from task to task, in Arrow: on one machine through
shared memory, on several perhaps over the network. Bytes of gradients are counted at the loopback device.

    python benchmarks/scale.py --images 2000                  # some minutes
    python benchmarks/scale.py                                # hours on two cores
    python benchmarks/scale.py --images 2000 --kinds loop actors-1
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import seconds

from keras_pli.files import read_json, write_json
from keras_pli.parquet import parquet_files, read_batches, write_columns

BATCH, STEPS, PER_FILE = 64, 32, 2000
KINDS = ("loop", "actors-1", "actors-2", "replicas-1", "replicas-2", "workers-2")
ASKED = (2000, 20_000, 200_000)


def network():
    """A small CNN that takes bytes; the same weights in each process."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def images(count: int):
    """Images `(count, 28, 28, 1)` and labels, those of Fashion-MNIST again and again."""
    import keras

    (x, y), _ = keras.datasets.fashion_mnist.load_data()
    rows = np.arange(count) % len(x)
    return x[rows, ..., None], y[rows]


def stored_images(folder: Path, count: int) -> Path:
    """The folder of so many images as Parquet, made where it is not there."""
    place = folder / f"images-{count}"
    x, y = images(count)
    for start in range(0, count, PER_FILE):
        path = place / f"{start:09d}.parquet"
        if not path.exists():
            rows = slice(start, start + PER_FILE)
            columns = {"id": np.arange(count)[rows], "image": x[rows], "label": y[rows]}
            write_columns(path, columns)
    return place


def loop(source: Path, out: Path) -> dict[str, float]:
    """One process without Ray: reads, explains and writes file by file; each part is timed."""
    from keras_pli.attribution import IntegratedGradients

    spent = {"reading": 0.0, "explaining": 0.0, "writing": 0.0}
    method, spent["start"] = seconds(
        lambda: IntegratedGradients(network(), steps=STEPS, batch_size=BATCH)
    )
    for file in parquet_files(source):
        begin = time.perf_counter()
        parts = list(read_batches(file, ["id", "image"]))
        x = np.concatenate([part["image"] for part in parts])
        ids = np.concatenate([part["id"] for part in parts])
        spent["reading"] += time.perf_counter() - begin
        found, explaining = seconds(method, x)
        spent["explaining"] += explaining
        arrays = {"attributions": found.attributions, "scores": found.scores, "delta": found.delta}
        spent["writing"] += seconds(write_columns, out / file.name, {"id": ids, **arrays})[1]
    return spent


def on_actors(actors: int, source: Path, out: Path) -> dict[str, float]:
    """The same on Ray."""
    import ray

    from keras_pli.distributed import explain

    network().save(out.parent / "network.keras")
    _, start = seconds(lambda: ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False))
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        rows = ray.data.read_parquet(str(source)).select_columns(["id", "image"])
        settings = {"steps": STEPS, "batch_size": BATCH, "concurrency": actors}
        model, method = out.parent / "network.keras", "integrated_gradients"
        found = explain(rows, model, method, column="image", **settings)
        _, running = seconds(found.drop_columns(["image"]).write_parquet, str(out))
    finally:
        ray.shutdown()
    # From reading to an actor, and from it with the image to what writes.
    return {
        "start": start,
        "running": running,
        "passed_on": 2 * row_bytes(source, ["id", "image"]) + row_bytes(out),
    }


def row_bytes(folder: Path, columns: list[str] | None = None) -> float:
    """Bytes of a row in Arrow."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(parquet_files(folder)[0], columns=columns)
    return table.nbytes / len(table)


def training(kind: str, count: int) -> dict[str, float]:
    """Two epochs of `fit`, of which the second is timed: the first traces."""
    import tensorflow as tf

    replicas = int(kind.split("-")[1])
    if kind.startswith("workers"):
        from keras_pli.distributed import MultiWorkerMirroredStrategy

        strategy = MultiWorkerMirroredStrategy()
    elif replicas > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        devices = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, devices)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    with strategy.scope():
        model = network()
        model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = images(count)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.with_options(options)
    model.fit(data, verbose=0)
    sent = loopback_bytes()
    _, running = seconds(lambda: model.fit(data, verbose=0))
    return {"running": running, "sent": loopback_bytes() - sent}


def loopback_bytes() -> int:
    """Bytes that all processes have sent over the loopback device; 0 where the system does not tell."""
    try:
        lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[9]) for line in lines if line.split()[0] == "lo:"), 0)


def run(kind: str, count: int, source: Path, out: Path) -> None:
    """Runs one point in this process and prints its figures."""
    if kind.startswith(("replicas", "workers")):
        print(json.dumps(training(kind, count)))
        return
    figures = (
        loop(source, out) if kind == "loop" else on_actors(int(kind.split("-")[1]), source, out)
    )
    figures |= {"read": total_size(source), "written": total_size(out)}
    print(json.dumps(figures))


def total_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in parquet_files(folder))


def measured(kind: str, count: int, source: Path, out: Path) -> dict[str, float]:
    """Runs one point in processes of its own, and watches their memory."""
    command = [sys.executable, __file__, "--only", kind, str(count), str(source), str(out)]
    # The plain loop has the one thread of an actor.
    environments = [{"TF_NUM_INTRAOP_THREADS": "1"} if kind == "loop" else {}]
    if kind.startswith("workers"):
        places = [f"127.0.0.1:{free_port()}" for _ in range(int(kind.split("-")[1]))]
        environments = [
            {"TF_CONFIG": json.dumps({"cluster": {"worker": places}, "task": task})}
            for task in ({"type": "worker", "index": number} for number in range(len(places)))
        ]
    begin = time.perf_counter()
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **own},
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in environments
    ]
    watch = Watch([process.pid for process in started])
    try:
        said = [process.communicate()[0] for process in started]
    finally:
        watch.stop()
        for process in started:
            process.kill()
    if any(process.returncode for process in started):
        raise SystemExit(f"{kind} of {count} images failed.")
    figures = json.loads(said[0].splitlines()[-1])
    return {**figures, "seconds": time.perf_counter() - begin, "megabytes": watch.most}


class Watch:
    """The most memory that processes and what they start hold at a time, in MB, without what they share."""

    def __init__(self, pids: list[int]) -> None:
        self.most, self._pids, self._stopped = 0.0, pids, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.25):
            self.most = max(self.most, sum(map(self._held, self._pids)) / 2**20)

    def _held(self, pid: int) -> float:
        import psutil

        total = 0.0
        try:
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                memory = process.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:  # it has just ended
            pass
        return total


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def as_table(points: dict[str, dict[str, float]]) -> pd.DataFrame:
    """A row for each point, in figures for one image where they grow with their number."""
    rows = []
    for name, point in points.items():
        kind, count = name.rsplit(" ", 1)
        images_done = int(count)
        running = point.get("running", sum(point.get(part, 0.0) for part in PARTS))
        rows.append(
            {
                "kind": kind,
                "images": images_done,
                "start s": point["seconds"] - running,
                "ms an image": 1000 * running / images_done,
                "MB held": point["megabytes"],
                "read B": point.get("read", 0) / images_done,
                "written B": point.get("written", 0) / images_done,
                "passed on B": point.get("passed_on", 0.0),
                "sent B": point.get("sent", 0) / images_done,
            }
        )
    return pd.DataFrame(rows).sort_values(["kind", "images"], ignore_index=True)


PARTS = ("reading", "explaining", "writing")


def cost_model(points: dict[str, dict[str, float]]) -> str:
    """What a run on Ray costs: a start, the work that actors share, and what they do not."""
    from scipy.optimize import nnls

    found = {
        (int(name.split()[0][-1]), int(name.split()[1])): point["seconds"]
        for name, point in points.items()
        if name.startswith("actors")
    }
    if len(found) < 3:
        return "A model of cost needs three points on Ray at least."
    terms = np.array([[1.0, count / actors, count] for actors, count in found])
    wall = np.array(list(found.values()))
    # Errors count in per cent, so that the long points do not hide the short ones.
    (start, shared, alone), _ = nnls(terms / wall[:, None], np.ones(len(wall)))
    off = np.abs(terms @ [start, shared, alone] / wall - 1).max()
    text = (
        f"seconds = {start:.1f} + {1e3 * shared:.3f} ms x images / actors "
        f"+ {1e3 * alone:.3f} ms x images; "
        f"off by {off:.0%} at most."
    )
    loops = {name: point for name, point in points.items() if name.startswith("loop")}
    if loops:
        name, point = max(loops.items(), key=lambda item: int(item[0].split()[1]))
        each = {part: 1e3 * point[part] / int(name.split()[1]) for part in PARTS}
        text += "\nThe plain loop, ms an image: " + ", ".join(
            f"{part} {value:.3f}" for part, value in each.items()
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=ASKED)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--points", type=Path, default=Path("runs/scale/points.json"))
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        kind, count, source, out = arguments.only
        run(kind, int(count), Path(source), Path(out))
        return
    points = read_json(arguments.points) if arguments.points.exists() else {}
    for count in arguments.images:
        for kind in arguments.kinds:
            if f"{kind} {count}" in points:
                continue
            source = stored_images(arguments.points.parent, count)
            with tempfile.TemporaryDirectory(dir=arguments.points.parent) as folder:
                points[f"{kind} {count}"] = measured(kind, count, source, Path(folder) / "maps")
            write_json(arguments.points, points)
            print(
                f"{kind}, {count} images: {points[f'{kind} {count}']['seconds']:.1f} s", flush=True
            )
    print(as_table(points).round(3).to_string(index=False))
    print(cost_model(points))


if __name__ == "__main__":
    main()
