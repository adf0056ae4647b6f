"""The variant int8: a graph for assay-kernels, in the least time that its gate allows."""
