"""What TensorRT would not accept in a portable graph."""
