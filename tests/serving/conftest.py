"""A folder of models that is saved once for all files, and a server of it."""

from served_models import live, served_folder  # noqa: F401
