"""Explaining by examples: training samples that decided a prediction, prototypes, nearest neighbours."""
