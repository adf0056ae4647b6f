"""The int8 variants, fitted to text and gated on other text: for assay-kernels, ONNX Runtime and TensorRT."""
