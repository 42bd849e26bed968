"""Figures from arrays: maps, displacements, scores, curves, samples, attributions, rationales, landscapes.

Every function that draws returns a `matplotlib.figure.Figure`: a new one, or, if axes were given,
the one that they lie in. New figures are made without pyplot, so that they work without a screen
and in threads, and are freed when nobody holds them; in a notebook they show themselves, and `show`
opens a window.
"""

from .activation_grid import activation_grid
from .animation import animate_maps
from .attributions import attribution_overlay
from .confusion import confusion_figure
from .crop_grid import crop_grid
from .curves import training_curves
from .decodings import MapGrid, decoding_map, map_grid
from .density import ClassDensity, class_density
from .displacement import displacement_arrows
from .evaluation_curves import faithfulness_curves, randomization_curves
from .example_rows import example_rows
from .export import figure_to_png_bytes, save_figure, to_data_uri
from .filters import filter_evolution, filter_grid, filter_images
from .grids import attribution_grid
from .images import image_strip
from .landscape_curves import loss_curve, spectral_density_curve
from .landscapes import loss_contour_panels, loss_contours, loss_reliefs
from .map_comparison import embedding_comparison, embedding_panels
from .maps import embedding_map
from .mosaics import volume_mosaic
from .rationales import animate_morphs, morph_strip, rationale_grid
from .receptive_fields import field_grid
from .region_bars import region_bars
from .samples import sample_grid
from .score_points import score_points
from .scores import class_scores, paired_differences
from .settling import settling_map
from .size_distributions import size_distributions
from .student_curves import student_curves
from .style import ClassStyle, class_styles
from .surrogates import decision_tree, linear_weights
from .thumbnails import thumbnail_map
from .volumes import volume_slices

__all__ = [
    "ClassDensity",
    "ClassStyle",
    "MapGrid",
    "activation_grid",
    "animate_maps",
    "animate_morphs",
    "attribution_grid",
    "attribution_overlay",
    "class_density",
    "class_scores",
    "class_styles",
    "confusion_figure",
    "crop_grid",
    "decision_tree",
    "decoding_map",
    "displacement_arrows",
    "embedding_comparison",
    "embedding_map",
    "embedding_panels",
    "example_rows",
    "faithfulness_curves",
    "field_grid",
    "figure_to_png_bytes",
    "filter_evolution",
    "filter_grid",
    "filter_images",
    "image_strip",
    "linear_weights",
    "loss_contour_panels",
    "loss_contours",
    "loss_curve",
    "loss_reliefs",
    "map_grid",
    "morph_strip",
    "paired_differences",
    "randomization_curves",
    "rationale_grid",
    "region_bars",
    "sample_grid",
    "save_figure",
    "score_points",
    "settling_map",
    "size_distributions",
    "spectral_density_curve",
    "student_curves",
    "thumbnail_map",
    "to_data_uri",
    "training_curves",
    "volume_mosaic",
    "volume_slices",
]
