"""Checking without a GPU whether TensorRT would accept a portable graph."""
