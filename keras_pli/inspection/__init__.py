"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from .filters import filters, layers_with_filters, plot_filters

__all__ = ["filters", "layers_with_filters", "plot_filters"]
