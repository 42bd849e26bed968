"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .subject_page import subject_page

__all__ = ["subject_page"]
