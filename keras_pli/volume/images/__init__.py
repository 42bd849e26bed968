"""Volumes from files, in the form that a network receives, and maps back onto them."""
