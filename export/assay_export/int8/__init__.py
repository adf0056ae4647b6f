"""The int8 variant for ONNX Runtime's CPU provider: fitted to calibration text, gated on held-out rows of it."""
