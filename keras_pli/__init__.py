"""See what a trained Keras classifier learned, correct it by hand, and show why it decides as it does.

Each name below is loaded where it is first used. The command line needs none of them for its help.
"""

import sys as _sys
from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING

from .version import __version__

if _TYPE_CHECKING:
    from . import (
        attribution,
        callbacks,
        distributed,
        embedding,
        evaluation,
        inspection,
        intervention,
        plotting,
        rationale,
        reporting,
        retraining,
        serving,
        synthetic,
        volume,
    )
    from .embedding import (
        ContrastiveEmbedding,
        EmbeddingTransformer,
        MapDecoder,
        ParametricEmbedding,
        ParametricTSNE,
        ParametricUMAP,
        affinities,
        nearest_neighbors,
        quality,
    )
    from .intervention import (
        Contract,
        Custom,
        EditedData,
        Exclude,
        InterventionPlan,
        Lasso,
        Move,
        MovePoints,
        MoveTo,
        PlanCheck,
        Proposals,
        Relabel,
        Rotate,
        Scale,
        Separate,
        Shift,
        Weigh,
        propose,
        suggest,
    )
    from .network.activations import activations
    from .network.layers import layer_paths
    from .rationale import RationaleGenerator
    from .reporting import report
    from .retraining import (
        ExperimentResult,
        PLILoss,
        PLIModel,
        embedding_response,
        performance_response,
        pli_experiment,
    )
    from .serving import export
    from .studio import studio

__all__ = [
    "Contract",
    "ContrastiveEmbedding",
    "Custom",
    "EditedData",
    "EmbeddingTransformer",
    "Exclude",
    "ExperimentResult",
    "InterventionPlan",
    "Lasso",
    "MapDecoder",
    "Move",
    "MovePoints",
    "MoveTo",
    "PLILoss",
    "PLIModel",
    "ParametricEmbedding",
    "ParametricTSNE",
    "ParametricUMAP",
    "PlanCheck",
    "Proposals",
    "RationaleGenerator",
    "Relabel",
    "Rotate",
    "Scale",
    "Separate",
    "Shift",
    "Weigh",
    "__version__",
    "activations",
    "affinities",
    "attribution",
    "callbacks",
    "distributed",
    "embedding",
    "embedding_response",
    "evaluation",
    "export",
    "inspection",
    "intervention",
    "layer_paths",
    "nearest_neighbors",
    "performance_response",
    "pli_experiment",
    "plotting",
    "propose",
    "quality",
    "rationale",
    "report",
    "reporting",
    "retraining",
    "serving",
    "studio",
    "suggest",
    "synthetic",
    "volume",
]

# Where the names that are no subpackages come from; the others are loaded as they are called.
_HOMES = {
    "RationaleGenerator": "rationale",
    "activations": "network.activations",
    "export": "serving",
    "layer_paths": "network.layers",
    "report": "reporting",
    **dict.fromkeys(
        (
            "ContrastiveEmbedding",
            "EmbeddingTransformer",
            "MapDecoder",
            "ParametricEmbedding",
            "ParametricTSNE",
            "ParametricUMAP",
            "affinities",
            "nearest_neighbors",
            "quality",
        ),
        "embedding",
    ),
    **dict.fromkeys(
        (
            "ExperimentResult",
            "PLILoss",
            "PLIModel",
            "embedding_response",
            "performance_response",
            "pli_experiment",
        ),
        "retraining",
    ),
    **dict.fromkeys(
        (
            "Contract",
            "Custom",
            "EditedData",
            "Exclude",
            "InterventionPlan",
            "Lasso",
            "Move",
            "MovePoints",
            "MoveTo",
            "PlanCheck",
            "Proposals",
            "Relabel",
            "Rotate",
            "Scale",
            "Separate",
            "Shift",
            "Weigh",
            "propose",
            "suggest",
        ),
        "intervention",
    ),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_whereabouts(name)}")
    _register()
    if name in _HOMES:
        found = getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    else:
        found = _import_module(f".{name}", __name__)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


def _whereabouts(name: str) -> str:
    """Says which room has a class that somebody looked for in the package itself."""
    if not name[0].isupper():  # the import of a module asks for its name here, too
        return ""
    homes = (
        "attribution",
        "evaluation",
        "inspection",
        "rationale",
        "reporting",
        "plotting",
        "callbacks",
        "serving",
        "studio",
        "synthetic",
        "volume",
    )
    found = [home for home in homes if name in getattr(__getattr__(home), "__all__", ())]
    return "".join(f"; it is in {__name__}.{home}" for home in found[:1])


def _register() -> None:
    """Imports the classes that Keras finds in a stored map, or a training with it, only when registered."""
    for room in ("embedding", "retraining"):
        _import_module(f".{room}", __name__)


def _is_command() -> bool:
    """Whether Python was started for the command line, as `keras-pli` or `python -m keras_pli.cli`."""
    named = _Path(_sys.argv[0] if _sys.argv else "").stem == "keras-pli"
    return named or "-m keras_pli.cli" in " ".join(_sys.orig_argv)


# Whoever imports the package may load a stored map next, and use no name of it; the command `keras-pli` does
# not, and its help is to be there at once.
if not _is_command():
    _register()
