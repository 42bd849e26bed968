"""How embeddings grow with the number of points: seconds, memory and quality, in one table.

Made data of 64 features: classes of differing density, each a curved sheet of two to six dimensions, and
noise. They lie in a file that is mapped into memory. Each system runs in a process of its own, with its
defaults; its fit includes whatever it compiles. CPU seconds are those of the fit in all its threads. Memory
is what the process held at most, above what it held before the fit, the data being read then. Quality is
that of 5,000 points held out.

    python benchmarks/growth.py                                            # some hours on two cores
    python benchmarks/growth.py --sizes 1000000 --systems keras_pli        # needs 16 GB
    python benchmarks/growth.py --sizes 10000 30000 --repeats 3            # medians
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from measure import figures_of, in_fresh_process, median_rows, peak_megabytes, quality, seconds

FEATURES = 64
CLASSES = 40
HELD_OUT = 5000
CHUNK = 50_000


def classes(random: np.random.Generator) -> list[dict[str, np.ndarray]]:
    """Where each class lies, how it is bent and how dense it is."""
    found = []
    for _ in range(CLASSES):
        dimensions = random.integers(2, 7)
        found.append(
            {
                "centre": 0.2 * random.normal(size=FEATURES),
                "flat": random.normal(size=(dimensions, FEATURES)) / np.sqrt(dimensions),
                "bent": random.normal(size=(dimensions, FEATURES)),
                "size": np.exp(random.normal(-0.5, 0.6)),
            }
        )
    return found


def rows(samples: int, known: list[dict[str, np.ndarray]], random: np.random.Generator):
    """Points and their classes."""
    labels = random.integers(CLASSES, size=samples)
    points = 0.3 * random.normal(size=(samples, FEATURES))
    for label, of in enumerate(known):
        held = np.flatnonzero(labels == label)
        sheet = random.normal(size=(len(held), len(of["flat"])))
        points[held] += of["centre"] + of["size"] * (
            sheet @ of["flat"] + 0.5 * np.sin(2 * sheet @ of["bent"])
        )
    return points.astype(np.float32), labels


def write(folder: Path, samples: int) -> None:
    """Writes points, their classes and held-out ones, made some rows at a time."""
    known = classes(np.random.default_rng(0))
    shape = (samples, FEATURES)
    z = np.lib.format.open_memmap(folder / "z.npy", mode="w+", dtype=np.float32, shape=shape)
    labels = np.empty(samples, dtype=np.int64)
    for start in range(0, samples, CHUNK):
        part = slice(start, min(start + CHUNK, samples))
        made = rows(part.stop - start, known, np.random.default_rng([1, start]))
        z[part], labels[part] = made
    z.flush()
    held_out, theirs = rows(HELD_OUT, known, np.random.default_rng(2))
    np.savez(folder / "rest.npz", labels=labels, held_out=held_out, theirs=theirs)


def ours(z):
    import keras_pli as kp
    from keras_pli.embedding import objectives, parametric_embedding

    spent = Counter()

    def timed(name, function):
        def run(*arguments, **options):
            found, took = seconds(lambda: function(*arguments, **options))
            spent[name] += took
            return found

        return run

    tsne = kp.ParametricTSNE(seed=0)
    # Neither is handed anything that the fit would have let go of by then.
    search = parametric_embedding.nearest_neighbors
    parametric_embedding.nearest_neighbors = timed("neighbours s", search)
    objectives.affinities = timed("affinities s", objectives.affinities)

    def fit():
        _, took = seconds(lambda: tsne.fit(z, verbose=0))
        return {"fit s": took, **spent, "training s": took - sum(spent.values())}

    return fit, lambda x: tsne.predict(x, batch_size=2000, verbose=0)


def open_tsne(z):
    from openTSNE import TSNE

    made = []

    def fit():
        made.append(TSNE(n_jobs=-1, random_state=0).fit(z))

    return fit, lambda x: made[0] if x is z else made[0].transform(x)


def umap(z):
    from umap import UMAP

    reducer = UMAP(n_jobs=-1)
    return lambda: reducer.fit(z), lambda x: reducer.embedding_ if x is z else reducer.transform(x)


def parametric_umap(z):
    from umap.parametric_umap import ParametricUMAP

    reducer = ParametricUMAP(random_state=None, verbose=False)
    return lambda: reducer.fit(z), reducer.transform


def torch_dr(z):
    import torch
    from torchdr import InfoTSNE

    torch.manual_seed(0)
    widths = [z.shape[1], 256, 256, 256]
    layers = [
        layer
        for pair in itertools.pairwise(widths)
        for layer in (torch.nn.Linear(*pair), torch.nn.ReLU())
    ]
    encoder = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 2))
    # With its default, gradient descent at a rate meant for the points themselves, the map goes to infinity.
    reducer = InfoTSNE(
        perplexity=50, encoder=encoder, optimizer="Adam", lr=1e-3, scheduler=None, random_state=0
    )

    def placed(x):
        with torch.no_grad():
            return encoder(torch.as_tensor(np.array(x))).numpy()

    return lambda: reducer.fit(torch.as_tensor(np.array(z))), placed


SYSTEMS = {
    "keras_pli": ours,
    "openTSNE": open_tsne,
    "umap-learn UMAP": umap,
    "umap-learn ParametricUMAP": parametric_umap,
    "TorchDR InfoTSNE, encoder": torch_dr,
}
MODULES = {
    "openTSNE": "openTSNE",
    "umap-learn UMAP": "umap",
    "umap-learn ParametricUMAP": "umap.parametric_umap",
    "TorchDR InfoTSNE, encoder": "torchdr",
}
MOST_POINTS = {
    "openTSNE": 100_000,
    "umap-learn UMAP": 100_000,
    "umap-learn ParametricUMAP": 100_000,
    "TorchDR InfoTSNE, encoder": 10_000,  # each of its 1,000 steps passes all points through the encoder
}


def measured(system: str, folder: Path) -> dict[str, float]:
    z = np.load(folder / "z.npy", mmap_mode="r")
    fit, transform = SYSTEMS[system](z)
    z.max()  # now the data are in memory
    before = peak_megabytes()
    computed = time.process_time()
    found, took = seconds(fit)
    figures = found if isinstance(found, dict) else {"fit s": took}
    figures["CPU s"] = time.process_time() - computed
    peak = peak_megabytes()
    figures.update({"peak MB": peak, "kB a point": 1024 * (peak - before) / len(z)})
    rest = np.load(folder / "rest.npz")
    y, y_held_out = transform(z), transform(rest["held_out"])
    found = quality(y, rest["labels"], rest["held_out"], y_held_out, rest["theirs"])
    return {**figures, **{name: found[name] for name in ("trust(12)", "10-NN error")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[10_000, 30_000, 100_000, 300_000], help="points"
    )
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run = lambda: measured(arguments.only, arguments.folder)  # noqa: E731
        print(figures_of(MODULES, arguments.only, run))
        return
    table = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), size)
            systems = [name for name in arguments.systems if size <= MOST_POINTS.get(name, size)]
            runs: dict[str, list[dict[str, float]]] = {system: [] for system in systems}
            for _ in range(arguments.repeats):  # in turn, so that a slow hour meets all of them
                for system in systems:
                    runs[system].append(in_fresh_process(__file__, system, "--folder", folder))
        table += [
            {"points": size, "system": system, **median_rows(found)}
            for system, found in runs.items()
            if all(found)
        ]
        print(pd.DataFrame(table).round(3).to_string(index=False, na_rep=""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
