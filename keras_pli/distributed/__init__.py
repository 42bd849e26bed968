"""Work beyond one machine: explanations over Ray Data, and training on several workers.

Each name below is loaded where it is first used, so that this needs neither Ray nor TensorFlow by itself.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from .ray_data.explaining import explain
    from .ray_data.layer_activations import activations
    from .ray_data.map_positions import map_positions
    from .ray_data.rationale_search import rationales
    from .ray_data.reductions.map_means import MeanMaps, mean_maps
    from .ray_data.reductions.mean_curves import MeanCurve, deletion_curves
    from .ray_data.reductions.seeds import randomization_test
    from .ray_data.scoring import evaluate
    from .training.backup import BackupAndRestore
    from .training.launching import run_workers
    from .training.strategy import MultiWorkerMirroredStrategy

# Where each public name comes from.
_HOMES = {
    "BackupAndRestore": "training.backup",
    "MultiWorkerMirroredStrategy": "training.strategy",
    "activations": "ray_data.layer_activations",
    "evaluate": "ray_data.scoring",
    "explain": "ray_data.explaining",
    "map_positions": "ray_data.map_positions",
    "MeanCurve": "ray_data.reductions.mean_curves",
    "MeanMaps": "ray_data.reductions.map_means",
    "deletion_curves": "ray_data.reductions.mean_curves",
    "mean_maps": "ray_data.reductions.map_means",
    "randomization_test": "ray_data.reductions.seeds",
    "rationales": "ray_data.rationale_search",
    "run_workers": "training.launching",
}

__all__ = [
    "BackupAndRestore",
    "MeanCurve",
    "MeanMaps",
    "MultiWorkerMirroredStrategy",
    "activations",
    "deletion_curves",
    "evaluate",
    "explain",
    "map_positions",
    "mean_maps",
    "randomization_test",
    "rationales",
    "run_workers",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
