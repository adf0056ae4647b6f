"""Writing ONNX graphs: authored, one folder per architecture, or traced by optimum."""
