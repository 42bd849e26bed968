"""Retraining beside a matched control, seed by seed; what was found, in tables, words and a page."""
