"""Exact against approximate search for neighbours: where they cross. And time and memory of the affinities.

Memory is what the process held at most above the data and what it held before, in kB a point; the approximate
search's holds its compilation, too.

Each search runs in a process of its own, so that the approximate one pays for its compilation, as a user's
script does.

    python benchmarks/neighbors.py
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
from measure import in_fresh_process, peak_megabytes, seconds

import keras_pli as kp

METHODS = ["exact", "approximate"]


def points(samples: int, features: int) -> np.ndarray:
    """Clustered points, as activations are."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(50, features))
    return (
        centres[random.integers(50, size=samples)] + 0.5 * random.normal(size=(samples, features))
    ).astype("float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.only:
        z = points(arguments.samples, arguments.features)
        before = peak_megabytes()
        graph, took = seconds(lambda: kp.nearest_neighbors(z, 150, method=arguments.only, seed=0))
        searched = peak_megabytes()
        _, solved = seconds(lambda: kp.affinities(graph, perplexity=50).negative_entropy)
        kilobytes = [1e3 * (peak - before) / len(z) for peak in (searched, peak_megabytes())]
        print(json.dumps({"search": took, "affinities": solved, "memory": kilobytes}))
        return
    rows = []
    for samples, features in (
        (10_000, 64),
        (60_000, 10),
        (60_000, 64),
        (30_000, 784),
        (60_000, 784),
    ):
        row = {"samples": samples, "features": features}
        sizes = ["--samples", str(samples), "--features", str(features)]
        for method in METHODS:
            found = in_fresh_process(__file__, method, *sizes)
            row[f"{method} s"] = found["search"]
            row["affinities s"] = found["affinities"]
            row[f"{method} kB"], row["affinities kB"] = found["memory"]
        rows.append(row)
        print(pd.DataFrame(rows).round(1).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
