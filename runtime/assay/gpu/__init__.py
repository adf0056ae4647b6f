"""What only a GPU needs: the driver, execution provider options, padding, buffers, TensorRT engines."""
