"""Does `plan.check` foretell what retraining does? Random plans on two data sets, foretold against measured.

For each of five seeds a small convolutional network is trained on scikit-learn's digits and on 4,000 images
of Fashion-MNIST, its logits are mapped, and six random plans of one to three moves are drawn, with a λ of .1,
.4 or .8 in turn. Measured is what `pli_experiment` does: four epochs of retraining beside a control on the
same batches, and on held-out images the share of the way gone that was asked for, and the F1 lost by the
classes moved, control less PLI. What the pilot of a check is like was chosen by the plans of two seeds; those
of the other three are reported.

    python benchmarks/plan_check.py --out runs/plan-check      # an hour on one core

Each plan's figures are stored as they are there; the same command resumes. A folder belongs to one set of
settings, noted in it, and is refused with others.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

CHOOSING, REPORTING = (0, 1), (2, 3, 4)
PLANS, EPOCHS, WEIGHTS = 6, 4, (0.1, 0.4, 0.8)
BATCH = {"digits": 50, "fashion": 100}
# F1 after one retraining is noisy: several, averaged.
RETRAININGS = {"digits": 3, "fashion": 2}
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
    import keras_pli as kp

    return kp.embedding_response(before, targets, moved, after)["achieved"]


def note_settings(folder):
    """Notes in a folder what its rows depend on, and refuses one of other settings."""
    from keras_pli.files import read_json, write_json

    settings = {
        "plans": PLANS,
        "epochs": EPOCHS,
        "weights": list(WEIGHTS),
        "batch": BATCH,
        "retrainings": RETRAININGS,
        "loss": LOSS,
    }
    path = folder / "settings.json"
    if path.exists() and read_json(path) != settings:
        raise SystemExit(
            f"{folder} belongs to other settings, {read_json(path)}: give another --out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def write_rows(path, rows):
    """Writes all rows anew, one a line, so that a file is whole whenever this is stopped."""
    from keras_pli.files import write_text

    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))


def read_rows(path):
    """The rows that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(name, seed, folder):
    """Draws a seed's plans and measures what retraining makes of them; one JSON line a plan."""
    from keras_pli.retraining.starting_point import restore, state_of

    path = folder / f"{name}-{seed}.jsonl"
    done = read_rows(path)
    if len(done) >= PLANS:
        return done
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
        done.append(line)
        write_rows(path, done)
        print({key: line[key] for key in line if key != "plan"}, flush=True)
    return done


def foretell(name, seed, folder):
    """What `plan.check` says of a seed's plans, beside what was measured; one JSON line a plan."""
    import keras

    import keras_pli as kp

    measured = measure(name, seed, folder)
    path = folder / f"{name}-{seed}-check.jsonl"
    done = read_rows(path)
    if len(done) < len(measured):
        classifier, embedder, (x, labels), _ = setting(name, seed, folder)
        y, _ = look(classifier, embedder, x)
        pli = kp.PLIModel(classifier, embedder)
    for found in measured[len(done) :]:
        pli.compile(keras.optimizers.Adam(), kp.PLILoss(LOSS, found["weight"]))
        plan = kp.InterventionPlan.from_json(json.dumps(found["plan"]))
        begun, used = time.perf_counter(), time.process_time()
        check = plan.check(y, labels, model=pli, x=x)
        moves = check.table()
        foretold = {
            "share": check.pilot_share,
            "F1 lost": -check.pilot_f1,
            "layer share": float(np.average(moves["layer share"], weights=moves["points"])),
            "layer kept": float(np.average(moves["layer kept"], weights=moves["points"])),
            "others": float(
                np.average(moves["others after"] - moves["others before"], weights=moves["points"])
            ),
            "collides": any(move.collides for move in check.moves),
            "pilot seconds": check.seconds,
            "check seconds": time.perf_counter() - begun,
            "check seconds of a core": time.process_time() - used,
        }
        done.append(foretold)
        write_rows(path, done)
        print(name, seed, found["number"], check, flush=True)
    columns = ["data", "seed", "number", "weight", "share", "F1 lost", "share of control"]
    return [
        {**{key: one[key] for key in columns}, **{f"foretold {key}": two[key] for key in two}}
        for one, two in zip(measured, done, strict=True)
    ]


def agreement(table):
    """Rank correlations of what is foretold with what is measured, and errors; beside λ by itself."""
    rows = []
    parts = {
        "all": table,
        **dict(list(table.groupby("data"))),
        **{f"λ {w:g}": t for w, t in table.groupby("weight")},
    }
    for name, part in parts.items():
        row = {"plans": name, "number": len(part)}
        for what in ("share", "F1 lost"):
            error = part[f"foretold {what}"] - part[what]
            row[f"{what}: Spearman"] = part[f"foretold {what}"].corr(part[what], "spearman")
            row[f"{what}: error"] = float(np.sqrt(np.mean(error**2)))
            row[f"{what}: bias"] = float(error.mean())
            if part["weight"].nunique() > 1:
                row[f"{what}: Spearman of λ"] = part["weight"].corr(part[what], "spearman")
        rows.append(row)
    return pd.DataFrame(rows)


def interval(table, what, draws=2000):
    """A 95 % interval of the rank correlation, by drawing plans with replacement."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        part = table.iloc[random.integers(0, len(table), len(table))]
        found.append(part[f"foretold {what}"].corr(part[what], "spearman"))
    return np.nanpercentile(found, [2.5, 97.5])


def figure_of(table):
    """Foretold against measured, share and F1 lost; one colour a data set, one marker a λ."""
    from keras_pli.plotting.style import INK, MUTED, TEXT_SIZE, draw_title, new_figure, quiet_axes

    colors, markers = (
        {"digits": "#0072B2", "fashion": "#D55E00"},
        dict(zip(WEIGHTS, "o^s", strict=True)),
    )
    names = {"digits": "digits", "fashion": "Fashion-MNIST"}
    figure = new_figure(9.6, 4.6)
    titles = {"share": "Share of the way gone", "F1 lost": "F1 lost by the classes moved"}
    for ax, (what, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        quiet_axes(ax)
        ends = table[[what, f"foretold {what}"]].to_numpy()
        pad = 0.05 * np.ptp(ends)
        ax.plot(*[[ends.min() - pad, ends.max() + pad]] * 2, color=MUTED, lw=0.8, ls=":", zorder=1)
        for (data, weight), part in table.groupby(["data", "weight"]):
            label = f"{names[data]}, λ = {weight:g}"
            ax.scatter(
                part[f"foretold {what}"],
                part[what],
                c=colors[data],
                marker=markers[weight],
                s=34,
                alpha=0.8,
                linewidths=0,
                label=label,
                zorder=2,
            )
        rank = table[f"foretold {what}"].corr(table[what], "spearman")
        draw_title(ax, f"{title}: Spearman {rank:.2f}")
        ax.set_xlabel("foretold by plan.check", fontsize=TEXT_SIZE, color=INK)
        ax.set_ylabel("measured on held-out images", fontsize=TEXT_SIZE, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=TEXT_SIZE
    )
    return figure


def main():
    """Measures, foretells, and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/plan-check"))
    parser.add_argument("--figure", type=Path, default=Path("docs/plan_check.png"))
    parser.add_argument("--data", nargs="+", default=["digits", "fashion"])
    parser.add_argument("--seeds", type=int, nargs="+", default=REPORTING)
    parser.add_argument("--measure-only", action="store_true", help="leave the check for later")
    arguments = parser.parse_args()
    note_settings(arguments.out)
    tasks = [(name, seed) for seed in arguments.seeds for name in arguments.data]
    work = measure if arguments.measure_only else foretell
    table = pd.DataFrame([row for task in tasks for row in work(*task, arguments.out)])
    if arguments.measure_only:
        return
    from keras_pli.plotting import save_figure

    print(table.round(3).to_string(index=False))
    print(agreement(table).round(3).to_string(index=False))
    for what in ("share", "F1 lost"):
        low, high = interval(table, what)
        print(
            f"{what}: 95 % interval of the rank correlation over {len(table)} plans {low:.2f} to {high:.2f}"
        )
    print(f"a check took {table['foretold check seconds'].median():.1f} s (median)")
    arguments.figure.parent.mkdir(parents=True, exist_ok=True)
    print("see", save_figure(figure_of(table), arguments.figure))


if __name__ == "__main__":
    main()
