"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .cohort_maps import mean_map, region_table
from .map_measures import dice, fold_stability
from .masked_inputs import masked_input_accuracy

__all__ = ["dice", "fold_stability", "masked_input_accuracy", "mean_map", "region_table"]
