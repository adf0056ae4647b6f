"""Comparing a graph with PyTorch; an artefact that differs is not written."""
