"""Experiments made by hand, without training."""

import numpy as np

from keras_pli.retraining import ExperimentResult, SeedRun

RUNS = ("baseline", "control", "PLI")
LABELS = np.arange(60) % 3
TRAIN_LABELS = np.arange(30) % 3
ABOUT = {
    "layer": "logits",
    "embedding_weight": 0.1,
    "moved_only": False,
    "scale": "spread",
    "epochs": 2,
    "train_samples": 30,
    "test_samples": 60,
}


def made_run(seed, *, held_out=True, components=2, outputs=None):
    """A run of random maps and outputs, the PLI arm's nearer to the labels."""
    rng = np.random.default_rng(seed)
    train_map = rng.normal(size=(30, components)).astype(np.float32)
    train_moved = TRAIN_LABELS == 2
    test_map = rng.normal(size=(60, components)).astype(np.float32)
    moved = LABELS == 2
    if outputs is None:
        right = np.eye(3, dtype=np.float32)[LABELS]
        outputs = {
            name: (rng.random((60, 3)) + strength * right).astype(np.float32)
            for name, strength in zip(RUNS, (0.1, 0.2, 0.5), strict=True)
        }
    return SeedRun(
        seed=seed,
        plan="InterventionPlan of 1 move",
        classes_moved=(2,),
        train_map=train_map,
        train_targets=train_map + train_moved[:, None],
        train_moved=train_moved,
        test_targets=test_map + moved[:, None] if held_out else None,
        test_moved=moved if held_out else None,
        test_maps={
            "baseline": test_map,
            "control": test_map + rng.normal(size=test_map.shape).astype(np.float32) / 9,
            "PLI": test_map + np.float32(0.5) * moved[:, None],
        },
        outputs=outputs,
        history={arm: {"loss": [1.0, 0.5]} for arm in ("control", "PLI")},
    )


def made(seeds=(0, 1, 2), **changes):
    run = {name: changes.pop(name) for name in ("held_out", "components") if name in changes}
    runs = tuple(made_run(seed, **run) for seed in seeds)
    names = ["shirt", "coat", "bag"]
    return ExperimentResult(
        **{
            "labels": LABELS,
            "train_labels": TRAIN_LABELS,
            "about": ABOUT,
            "class_names": names,
            "runs": runs,
            **changes,
        }
    )
