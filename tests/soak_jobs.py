"""Kills and starts again the work that is stored: `python soak_jobs.py FOLDER SECONDS`.

Two processes at a time do the same work in the same folder, and are killed at random. They are forked from
one that has imported everything and run nothing, so that they begin at once. Ends with an error where
something was lost, doubled or of other work; prints how often each job ended how.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_pli
from keras_pli import InterventionPlan, RationaleGenerator, Shift, pli_experiment
from keras_pli.attribution import Saliency, explain_dataset, load_attributions
from keras_pli.serving import versions

SAMPLES = 36


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(SAMPLES, 6, 6, 1)).astype("float32"), np.arange(SAMPLES) % 3


def classifier():
    start = keras.initializers.GlorotNormal
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start(1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", kernel_initializer=start(2)),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def explain(folder):
    def slowly():
        for sample in data()[0]:
            time.sleep(0.05)
            yield sample

    spec = tf.TensorSpec((6, 6, 1), tf.float32)
    stream = tf.data.Dataset.from_generator(slowly, output_signature=spec).batch(4)
    explain_dataset(Saliency(classifier()), stream, folder, samples_per_file=2, verbose=0)
    return load_attributions(folder)


def retrain(folder):
    start = keras.initializers.GlorotNormal(3)
    embedder = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=start)]
    )
    x, y = data()
    plan = InterventionPlan([Shift(1, by=(1.0, 0.5))])
    found = pli_experiment(
        classifier(), (x, y), (x, y), plan, embedder=embedder, epochs=1, batch_size=12, seeds=6,
        out=folder, verbose=0,
    )  # fmt: skip
    seeds = {f"outputs of {run.seed}": run.outputs["PLI"] for run in found.runs}
    return {"seeds": np.array(found.seeds), **seeds}


def rationale(folder):
    dense, start = keras.layers.Dense, keras.initializers.GlorotNormal
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            dense(16, "tanh", kernel_initializer=start(4)),
            keras.layers.Reshape((4, 4, 1)),
        ]
    )
    encoder = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            dense(3, kernel_initializer=start(5)),
        ]
    )
    decides = keras.Sequential(
        [keras.Input((3,)), dense(4, "softmax", kernel_initializer=start(6))]
    )
    codes = np.random.default_rng(1).normal(size=(24, 3)).astype("float32")
    search = RationaleGenerator(generator, encoder, decides, batch_size=2, steps=400)
    images = np.asarray(generator(codes))
    found = search(images, store=folder)
    return {"images": found.images, "codes": found.codes, "status": found.status}


def export(folder):
    keras_pli.export(classifier(), folder, explanations=[Saliency], warmup=None)
    x = data()[0][:4]
    answers = {
        number: tf.saved_model.load(str(folder / str(number))).signatures["serving_default"](
            image=x
        )
        for number in versions(folder)
    }
    return {f"version {number}": answer["logits"].numpy() for number, answer in answers.items()}


JOBS = {job.__name__: job for job in (explain, retrain, rationale, export)}
BUSY, KILLED = 3, -signal.SIGKILL


def started(job, folder, result):
    """Forks a process that does a job and stores what it found; it exits with 3 where another one writes."""
    process = os.fork()
    if process:
        return process
    try:
        np.savez(result, **JOBS[job](folder))
        code = 0
    except Exception as error:
        code = BUSY if "is being written by" in str(error) else 1
        if code != BUSY:
            traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def ended(process, seconds):
    """The exit code of a process, which is killed after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def check(job, result, expected, folder):
    """Raises where a job found something else than undisturbed."""
    with np.load(result) as found:
        if job == "export":  # every version that there is answers as the model does
            assert sorted(found) == sorted(f"version {n + 1}" for n in range(len(found.files)))
            for name in found:
                np.testing.assert_allclose(found[name], expected["version 1"], atol=1e-6)
        else:
            assert sorted(found) == sorted(expected), (job, sorted(found))
            for name in found:
                np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{job} {name}")
    left = [path.name for path in folder.iterdir() if path.name.startswith(".writing-")]
    assert not left, left


def round_of(job, folder, expected, draw, counts):
    """Starts pairs of processes until one has done the job, and checks what it found."""
    while True:
        results = [folder.with_name(f"{job}-{number}.npz") for number in range(2)]
        pair = [started(job, folder, result) for result in results]
        # Two in three are killed early or late; the others may take as long as they need.
        codes = [
            ended(one, draw.choice([draw.uniform(0, 2), draw.uniform(0, 8), 600])) for one in pair
        ]
        counts.update((job, code) for code in codes)
        assert set(codes) <= {0, BUSY, KILLED}, (job, codes)
        for code, result in zip(codes, results, strict=True):
            if code == 0:
                check(job, result, expected, folder)
        if 0 in codes:
            return


def main():
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    draw, counts, expected = random.Random(0), Counter(), {}
    for job in JOBS:
        whole = folder / f"whole-{job}.npz"
        assert ended(started(job, folder / "whole" / job, whole), 600) == 0, job
        with np.load(whole) as found:
            expected[job] = dict(found)
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end or rounds < len(JOBS):
        job = list(JOBS)[rounds % len(JOBS)]
        round_of(job, folder / job, expected[job], draw, counts)
        shutil.rmtree(folder / job)
        rounds += 1
    print(json.dumps({f"{job} {code}": count for (job, code), count in sorted(counts.items())}))


if __name__ == "__main__":
    main()
