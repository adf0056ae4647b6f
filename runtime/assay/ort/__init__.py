"""ONNX Runtime on the CPU: installation, sessions, errors, batches, parallel calls and forked processes."""
