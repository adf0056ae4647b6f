"""NVIDIA GPUs: the driver, libraries, execution providers, padding, buffers, sessions and TensorRT engines."""
