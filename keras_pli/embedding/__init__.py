"""Step 1: neighbours → affinities → parametric t-SNE, and how faithful the map is."""

from . import quality
from .affinity import Affinities, affinities
from .decoder import MapDecoder
from .inversion import FoundActivations
from .neighbors import NeighborGraph, given_neighbors, nearest_neighbors
from .network import PrincipalProjection
from .parametric_tsne import ParametricTSNE
from .transformer import EmbeddingTransformer

__all__ = [
    "Affinities",
    "EmbeddingTransformer",
    "FoundActivations",
    "MapDecoder",
    "NeighborGraph",
    "ParametricTSNE",
    "PrincipalProjection",
    "affinities",
    "given_neighbors",
    "nearest_neighbors",
    "quality",
]
