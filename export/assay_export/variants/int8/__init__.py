"""The int8 variants, for ONNX Runtime's CPU provider and for TensorRT: fitted to text and gated on other text."""
