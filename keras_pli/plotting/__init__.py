"""Figures from arrays: maps, displacements, scores, curves, samples and animations.

Every function that draws returns a `matplotlib.figure.Figure`: a new one, or, if axes were given,
the one that they lie in. New figures are made without pyplot, so that they work without a screen
and in threads, and are freed when nobody holds them.
"""

from .animation import animate_maps
from .curves import training_curves
from .density import ClassDensity, class_density
from .displacement import displacement_arrows
from .export import figure_to_png_bytes, save_figure, to_data_uri
from .images import image_strip
from .maps import embedding_comparison, embedding_map
from .scores import class_scores, paired_differences
from .style import ClassStyle, class_styles

__all__ = [
    "ClassDensity",
    "ClassStyle",
    "animate_maps",
    "class_density",
    "class_scores",
    "class_styles",
    "displacement_arrows",
    "embedding_comparison",
    "embedding_map",
    "figure_to_png_bytes",
    "image_strip",
    "paired_differences",
    "save_figure",
    "to_data_uri",
    "training_curves",
]
