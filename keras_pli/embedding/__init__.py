"""Step 1: neighbours → affinities → a parametric embedding by an objective, and how faithful it is."""

from . import quality
from .affinity import Affinities, affinities
from .contrastive_embedding import ContrastiveEmbedding
from .decoder import MapDecoder
from .inversion import FoundActivations
from .neighbors import NeighborGraph, given_neighbors, nearest_neighbors
from .network import PrincipalProjection
from .objectives import Objective
from .parametric_embedding import ParametricEmbedding
from .parametric_tsne import ParametricTSNE
from .parametric_umap import ParametricUMAP
from .placement import place_by_neighbors
from .refit import Refit
from .transformer import EmbeddingTransformer

__all__ = [
    "Affinities",
    "ContrastiveEmbedding",
    "EmbeddingTransformer",
    "FoundActivations",
    "MapDecoder",
    "NeighborGraph",
    "Objective",
    "ParametricEmbedding",
    "ParametricTSNE",
    "ParametricUMAP",
    "PrincipalProjection",
    "Refit",
    "affinities",
    "given_neighbors",
    "nearest_neighbors",
    "place_by_neighbors",
    "quality",
]
