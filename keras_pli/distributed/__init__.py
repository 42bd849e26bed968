"""Work beyond one process: explanations of Ray data sets by many actors.

Each name is loaded where it is first used; `import keras_pli.distributed` imports no Ray.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from .ray_data.explaining import explain
    from .ray_data.layer_activations import activations
    from .ray_data.map_positions import map_positions
    from .ray_data.rationale_search import rationales
    from .ray_data.scoring import evaluate

# Where each name is.
_HOMES = {
    "activations": "ray_data.layer_activations",
    "evaluate": "ray_data.scoring",
    "explain": "ray_data.explaining",
    "map_positions": "ray_data.map_positions",
    "rationales": "ray_data.rationale_search",
}

__all__ = [
    "activations",
    "evaluate",
    "explain",
    "map_positions",
    "rationales",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
