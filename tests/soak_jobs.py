"""The work that `test_soak.py` kills and starts again: `python soak_jobs.py JOB FOLDER`.

Prints "ready" when everything is loaded and the work begins. Exit code 3: another process is writing.
"""

import sys
import time
from pathlib import Path

import numpy as np

SAMPLES = 36


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(SAMPLES, 6, 6, 1)).astype("float32"), np.arange(SAMPLES) % 3


def classifier():
    import keras

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
    import tensorflow as tf

    from keras_pli.attribution import Saliency, explain_dataset, load_attributions

    def slowly():
        for sample in data()[0]:
            time.sleep(0.05)
            yield sample

    spec = tf.TensorSpec((6, 6, 1), tf.float32)
    stream = tf.data.Dataset.from_generator(slowly, output_signature=spec).batch(4)
    ready()
    explain_dataset(Saliency(classifier()), stream, folder, samples_per_file=2, verbose=0)
    return load_attributions(folder)


def retrain(folder):
    import keras

    from keras_pli import InterventionPlan, Shift, pli_experiment

    start = keras.initializers.GlorotNormal(3)
    embedder = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=start)]
    )
    x, y = data()
    plan = InterventionPlan([Shift(1, by=(1.0, 0.5))])
    ready()
    found = pli_experiment(
        classifier(), (x, y), (x, y), plan, embedder=embedder, epochs=1, batch_size=12, seeds=6,
        out=folder, verbose=0,
    )  # fmt: skip
    seeds = {f"outputs of {run.seed}": run.outputs["PLI"] for run in found.runs}
    return {"seeds": np.array(found.seeds), **seeds}


def rationale(folder):
    import keras

    from keras_pli import RationaleGenerator

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
    ready()
    found = search(images, store=folder)
    return {"images": found.images, "codes": found.codes, "status": found.status}


def export(folder):
    import tensorflow as tf

    import keras_pli
    from keras_pli.attribution import Saliency
    from keras_pli.serving import versions

    ready()
    keras_pli.export(classifier(), folder, explanations=[Saliency], warmup=None)
    x = data()[0][:4]
    answers = {
        number: tf.saved_model.load(str(folder / str(number))).signatures["serving_default"](
            image=x
        )
        for number in versions(folder)
    }
    return {f"version {number}": answer["logits"].numpy() for number, answer in answers.items()}


def ready():
    print("ready", flush=True)


JOBS = {job.__name__: job for job in (explain, retrain, rationale, export)}


def main():
    name, folder, result = sys.argv[1:]
    try:
        found = JOBS[name](Path(folder))
    except RuntimeError as error:
        if "is being written by process" not in str(error):
            raise
        sys.exit(3)
    np.savez(result, **found)


if __name__ == "__main__":
    main()
