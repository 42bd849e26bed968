"""Does `plan.check` foretell what retraining does? Random plans on two data sets, forecast against measurement.

For each of six seeds a small convolutional network is trained on scikit-learn's digits and on 4,000 images of
Fashion-MNIST, its logits are mapped, and nine random plans of one to three moves are drawn, with a random λ for
each. Measured is what `pli_experiment` does: four epochs of retraining beside a control on the same batches,
on held-out images: the share of the way asked for that is gone, and the F1 lost by the classes moved, control
less PLI. The check's pilot was chosen by plans of the first three seeds; the last three report.

    python benchmarks/plan_check.py --out runs/plan-check      # 108 plans, half an hour on one core

Each plan's measurement is stored as it ends; the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

CHOOSING, REPORTING = (0, 1, 2), (3, 4, 5)
PLANS, EPOCHS, WEIGHTS = 9, 4, (0.1, 0.4, 0.8)
BATCH = {"digits": 50, "fashion": 100}
# F1 after one retraining is noisy: several, averaged.
RETRAININGS = {"digits": 3, "fashion": 3}
LOSS = "sparse_categorical_crossentropy"


def data_of(name, seed):
    """Training and held-out images in [0, 1] with their labels; another half of the digits for each seed."""
    if name == "digits":
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        images = (digits.images / 16).astype("float32")[..., None]
        x_train, x_test, y_train, y_test = train_test_split(
            images, digits.target, test_size=0.5, stratify=digits.target, random_state=seed
        )
        return (x_train, y_train), (x_test, y_test)
    import keras

    (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    rows = np.random.default_rng(seed).permutation(len(x_train))[:4000]
    as_input = lambda x: (x / 255).astype("float32")[..., None]  # noqa: E731
    return (as_input(x_train[rows]), y_train[rows]), (as_input(x_test), y_test)


def network(name):
    """A small convolutional network with the usual head."""
    import keras
    from keras import layers

    if name == "digits":
        body = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu")]
    else:
        body = [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
        ]
    head = [
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
    return keras.Sequential([*body, *head])


def setting(name, seed, folder):
    """A trained classifier and a smooth map of its logits, made once and stored."""
    import keras

    import keras_pli as kp

    train, test = data_of(name, seed)
    stored = folder / f"{name}-{seed}.keras", folder / f"{name}-{seed}-map.keras"
    if all(path.exists() for path in stored):
        return *(keras.models.load_model(path) for path in stored), train, test
    keras.utils.set_random_seed(seed)
    classifier = network(name)
    classifier.compile("adam", LOSS)
    classifier.fit(*train, epochs=15 if name == "digits" else 8, batch_size=BATCH[name], verbose=0)
    tsne = kp.ParametricTSNE.smooth(perplexity=30, seed=seed)
    tsne.fit(kp.activations(classifier, train[0]), verbose=0)
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(stored[0])
    tsne.save(stored[1])
    return classifier, tsne, train, test


def random_plan(y, labels, random):
    """One to three moves, each of a class not moved before; lengths in units of the map's spread."""
    import keras_pli as kp

    spread = float(np.sqrt(np.var(y, axis=0).sum()))
    centre = {label: y[labels == label].mean(axis=0) for label in np.unique(labels).tolist()}
    free = random.permutation(list(centre)).tolist()
    moves = []
    for _ in range(random.integers(1, 4)):
        kind = random.choice(["contract", "shift", "separate", "onto", "out", "rotate"])
        label = free.pop()
        if kind == "contract":
            moves.append(kp.Contract(label, factor=round(float(random.uniform(0.1, 0.8)), 2)))
        elif kind == "shift":
            angle, length = random.uniform(0, 2 * np.pi), random.uniform(0.2, 1.2) * spread
            way = length * np.array([np.cos(angle), np.sin(angle)])
            moves.append(kp.Shift(label, by=way.round(2).tolist()))
        elif kind == "separate":
            other = min(free, key=lambda each: np.linalg.norm(centre[each] - centre[label]))
            free.remove(other)
            present = float(np.linalg.norm(centre[other] - centre[label]))
            distance = present + float(random.uniform(0.3, 1.2)) * spread
            moves.append(kp.Separate(label, other, distance=round(distance, 2)))
        elif kind == "onto":
            other = random.choice(free).item()
            part = random.uniform(0.5, 1.0)
            place = (1 - part) * centre[label] + part * centre[other]
            moves.append(kp.MoveTo(label, position=place.round(2).tolist()))
        elif kind == "out":
            place = centre[label] * (1 + float(random.uniform(0.2, 1.0)))
            moves.append(kp.MoveTo(label, position=place.round(2).tolist()))
        else:
            moves.append(kp.Rotate(label, degrees=round(float(random.uniform(30, 180)), 0)))
    return kp.InterventionPlan(moves)


def retrained(classifier, embedder, x, labels, targets, weight, seed, batch):
    """Retrains as `pli_experiment` does, with a fresh optimizer of the classifier's settings."""
    import keras_pli as kp
    from keras_pli.retraining import ShuffledBatches
    from keras_pli.retraining.starting_point import fresh_optimizer, reseed

    reseed(classifier, seed)
    pli = kp.PLIModel(classifier, embedder)
    pli.compile(fresh_optimizer(None, classifier), kp.PLILoss(LOSS, weight))
    wanted = {"label": labels, "embedding": targets}
    batches = ShuffledBatches(x, wanted, batch_size=batch, seed=seed)
    pli.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)


def look(classifier, embedder, x):
    """Where images lie on the map, and the classes found."""
    import keras_pli as kp

    outputs = classifier.predict(x, batch_size=1000, verbose=0)
    z = kp.activations(classifier, x, batch_size=1000)
    return embedder.predict(z, batch_size=1000, verbose=0), outputs.argmax(axis=1)


def f1_of(labels, found, classes):
    """Mean F1 of some classes."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, found, labels=list(classes), average="macro", zero_division=0))


def share(before, targets, moved, after):
    """The share gone of the way asked for."""
    asked, gone = (targets - before)[moved], (after - before)[moved]
    return float(np.sum(asked * gone) / np.sum(asked * asked))


def measure(name, seed, folder):
    """Draws a seed's plans and measures what retraining makes of them; one JSON line a plan."""
    from keras_pli.retraining.starting_point import restore, state_of

    path = folder / f"{name}-{seed}.jsonl"
    done = path.read_text().splitlines() if path.exists() else []
    if len(done) >= PLANS:
        return [json.loads(line) for line in done]
    classifier, embedder, (x, labels), (x_test, labels_test) = setting(name, seed, folder)
    y, _ = look(classifier, embedder, x)
    y_test, _ = look(classifier, embedder, x_test)
    start = state_of(classifier)
    arms = {}
    for number in range(len(done), PLANS):
        random = np.random.default_rng([seed, number, len(name)])
        plan, weight = random_plan(y, labels, random), WEIGHTS[number % len(WEIGHTS)]
        targets, _ = plan.apply(y, labels)
        test_targets, test_moved = plan.apply(y_test, labels_test)
        classes = np.unique(labels_test[test_moved])
        found, begun = [], time.perf_counter()
        for draw in range(RETRAININGS[name]):
            try:
                if draw not in arms:
                    retrained(classifier, embedder, x, labels, y, 0.0, draw, BATCH[name])
                    arms[draw] = look(classifier, embedder, x_test)
                    restore(classifier, start)
                retrained(classifier, embedder, x, labels, targets, weight, draw, BATCH[name])
                after, decided = look(classifier, embedder, x_test)
            finally:
                restore(classifier, start)
            control, by_control = arms[draw]
            found.append(
                {
                    "share": share(y_test, test_targets, test_moved, after),
                    "share of control": share(y_test, test_targets, test_moved, control),
                    "F1 lost": f1_of(labels_test, by_control, classes)
                    - f1_of(labels_test, decided, classes),
                    "accuracy lost": float(
                        np.mean(by_control == labels_test) - np.mean(decided == labels_test)
                    ),
                    "F1 control": f1_of(labels_test, by_control, classes),
                }
            )
        line = {
            "data": name,
            "seed": seed,
            "number": number,
            "weight": weight,
            "plan": json.loads(plan.to_json()),
            "seconds": (time.perf_counter() - begun) / RETRAININGS[name],
            **pd.DataFrame(found).mean().to_dict(),
            "spread of F1 lost": float(np.std([each["F1 lost"] for each in found])),
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print({key: line[key] for key in line if key != "plan"}, flush=True)
    return [json.loads(line) for line in path.read_text().splitlines()]


def main():
    """Measures, foretells, and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/plan-check"))
    parser.add_argument("--data", nargs="+", default=["digits", "fashion"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*CHOOSING, *REPORTING])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.data:
            measure(name, seed, arguments.out)


if __name__ == "__main__":
    main()
