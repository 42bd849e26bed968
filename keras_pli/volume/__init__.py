"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

__all__: list[str] = []
