"""ONNX Runtime: finding one sound installation, sessions, threads, batches and forked processes."""
