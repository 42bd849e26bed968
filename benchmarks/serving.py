"""An exported model beside the model itself: latency and throughput, by every way a request can take.

A small CNN of 28 × 28 images is exported with three explanations. Requests of 1, 8 and 32 images go, one
after another, to the Keras model, to the compiled function that was exported, to the signature as Python
loads it, to TensorFlow's C API (whose loader TensorFlow Serving shares), and to the local server by REST and
gRPC. Latencies are of calls after the first ones; the last column is the median over the compiled function's.

    python benchmarks/serving.py                       # about 3 minutes on two cores
    python benchmarks/serving.py --batches 32 --calls 300
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

# The C program that the tests compile.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serving"))

WARM = 10
Route = Callable[[], object]


def make_model():
    """The network of `benchmarks/attribution.py`, untrained: its weights do not change its speed."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((28, 28, 1), name="image")
    z = layers.MaxPooling2D(2)(layers.Conv2D(16, 3, activation="relu", name="conv1")(image))
    z = layers.MaxPooling2D(2)(layers.Conv2D(32, 3, activation="relu", name="conv2")(z))
    z = layers.Dense(64, activation="relu")(layers.Flatten()(z))
    return keras.Model(image, layers.Dense(10, activation="softmax")(z))


def make_methods(model) -> dict[str, object]:
    """One explanation of each cost: a pass, a pass and its gradient, and many."""
    from keras_pli import attribution as a

    return {
        "explain_grad_cam": a.GradCAM(model, layer="conv2"),
        "explain_saliency": a.Saliency(model),
        "explain_integrated_gradients": a.IntegratedGradients(model, steps=32),
    }


def latencies(route: Route, calls: int) -> np.ndarray:
    """Seconds of each call, after some that do not count."""
    for _ in range(WARM):
        route()
    took = []
    for _ in range(calls):
        start = time.perf_counter()
        route()
        took.append(time.perf_counter() - start)
    return np.array(took)


def python_routes(name, model, method, signature, given) -> dict[str, Route]:
    """The model as it is, the compiled function, and the loaded signature, all to NumPy."""
    import tensorflow as tf

    x = given["image"]
    if method is None:
        compiled = tf.function(lambda x: model(x, training=False)).get_concrete_function(
            tf.TensorSpec((None, *x.shape[1:]))
        )
        routes = {
            "Keras predict_on_batch": lambda: model.predict_on_batch(x),
            "compiled model": lambda: compiled(tf.constant(x)).numpy(),
        }
    else:
        asked = [given["target"], *([given["baseline"]] if "baseline" in given else [])]
        traced = method.traced(x, target="given", baseline="baseline" in given)
        routes = {
            "Keras and method": lambda: method(x, given["target"], baseline=given.get("baseline")),
            "compiled method": lambda: traced(
                tf.constant(x), *map(tf.constant, asked)
            ).attributions.numpy(),
        }

    def loaded():
        found = signature(**{key: tf.constant(array) for key, array in given.items()})
        return [value.numpy() for value in found.values()]

    return {**routes, "signature in Python": loaded}


@contextmanager
def local_server(folder: Path) -> Iterator[tuple[str, str]]:
    """Runs `keras-pli serve` in a process of its own; yields the addresses for REST and for gRPC."""
    command = [sys.executable, "-m", "keras_pli.cli", "serve", "--dir", str(folder)]
    ports = ["--rest-port", "0", "--grpc-port", "0"]
    process = subprocess.Popen([*command, *ports], stderr=subprocess.PIPE, text=True)
    said = ""
    while not (found := re.search(r"REST: (http://\S+)/v1/models\ngRPC: (\S+)\n", said)):
        line = process.stderr.readline()
        if not line:
            raise RuntimeError(f"The local server did not start: {said}")
        said += line
    # Its log of requests is read on, or the pipe would fill and hold it up.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield found[1], found[2]
    finally:
        process.terminate()
        process.wait()


def server_routes(name, server, given) -> dict[str, Route]:
    """A client's whole request, with what it takes to write and to read it."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    rest_address, grpc_address = server
    url = f"{rest_address}/v1/models/cnn:predict"

    def rest():
        inputs = {key: array.tolist() for key, array in given.items()}
        body = json.dumps({"signature_name": name, "inputs": inputs}).encode()
        return json.load(urllib.request.urlopen(urllib.request.Request(url, body)))["outputs"]

    channel = grpc.insecure_channel(grpc_address)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def by_grpc():
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "cnn", name
        for key, array in given.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
        outputs = stub.Predict(request).outputs
        return {key: tf.make_ndarray(value) for key, value in outputs.items()}

    return {"local server, REST": rest, "local server, gRPC": by_grpc}


def measured(batches: list[int], calls: int, folder: Path) -> pd.DataFrame:
    import c_program
    import tensorflow as tf

    import keras_pli as kp

    model = make_model()
    methods = make_methods(model)
    version = kp.export(model, folder / "cnn", explanations=list(methods.values()))
    signatures = tf.saved_model.load(str(version)).signatures
    program = c_program.build(folder) if c_program.COMPILER else None
    if program is None:
        print("C API is left out: there is no C compiler.")
    rows = []
    # What was traced stays: Python need not look for garbage in it, a quarter of a second each time.
    gc.collect()
    gc.freeze()
    with local_server(folder) as server:
        for name, method in {"serving_default": None, **methods}.items():
            for batch in batches:
                x = np.random.default_rng(0).random((batch, 28, 28, 1), dtype=np.float32)
                known = {
                    "image": x,
                    "target": np.arange(batch, dtype=np.int32) % 10,
                    "baseline": np.zeros_like(x),
                }
                inputs = signatures[name].structured_input_signature[1]
                given = {key: known[key] for key in inputs}
                took = {
                    route: latencies(run, calls)
                    for route, run in {
                        **python_routes(name, model, method, signatures[name], given),
                        **server_routes(name, server, given),
                    }.items()
                }
                if program is not None:
                    _, seconds = c_program.run(
                        program, version, name, given, repeats=WARM + calls, folder=folder
                    )
                    took["C API"] = seconds[WARM:]
                own = np.median(took["compiled model" if method is None else "compiled method"])
                rows += [
                    {
                        "signature": name,
                        "batch": batch,
                        "route": route,
                        "p50 ms": 1e3 * np.median(seconds),
                        "p95 ms": 1e3 * np.quantile(seconds, 0.95),
                        "samples/s": batch / np.mean(seconds),
                        "/ compiled": np.median(seconds) / own,
                    }
                    for route, seconds in took.items()
                ]
    return pd.DataFrame(rows).set_index(["signature", "batch", "route"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--calls", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        table = measured(arguments.batches, arguments.calls, Path(name))
    print(table.to_string(float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
