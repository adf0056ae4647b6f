"""The int8 variants for execution providers of ONNX Runtime: int8_ort for its CPU provider, int8_qdq for TensorRT."""
