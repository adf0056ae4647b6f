"""Writing ONNX graphs: authored, one file per architecture, or traced by optimum."""
