"""Step 1: neighbours → affinities → a parametric embedding by an objective, and how faithful it is."""

from . import quality
from .affinity import Affinities, affinities
from .contrastive_embedding import ContrastiveEmbedding
from .neighbors import NeighborGraph, given_neighbors, nearest_neighbors
from .network import PrincipalProjection
from .parametric_embedding import ParametricEmbedding
from .parametric_tsne import ParametricTSNE
from .parametric_umap import ParametricUMAP

__all__ = [
    "Affinities",
    "ContrastiveEmbedding",
    "NeighborGraph",
    "ParametricEmbedding",
    "ParametricTSNE",
    "ParametricUMAP",
    "PrincipalProjection",
    "affinities",
    "given_neighbors",
    "nearest_neighbors",
    "quality",
]
