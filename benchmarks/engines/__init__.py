"""Implementations that a probe or the suite calls in its own process, to time them.

`session` is the runtime's own session on one graph, `openvino` quantises with NNCF and runs OpenVINO, `pytorch` is
transformers' model. `products` has nothing but the int8 products of a model's linear layers on ONNX Runtime, and
`kernel_products` those of an int8 graph on assay-kernels.
"""
