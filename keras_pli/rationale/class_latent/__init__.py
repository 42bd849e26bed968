"""A generator whose codes hold structure and class apart: training, inversion, traversal."""
