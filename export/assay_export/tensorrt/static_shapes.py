"""Infer the shape of every tensor of a graph for given input sizes, without running the graph.

Tensors that depend on constants and shapes alone (the arguments of Reshape and Slice, positions) are computed by onnx's
reference implementation. All other shapes come from onnx's shape inference, operator by operator. Values of inputs, and
of weights outside the .onnx file, are never read: a shape that depends on them cannot be inferred.

The existing tools for symbolic shapes are not enough. onnx's own leaves dimensions open, for instance wherever a Slice
ends at a computed length: in 475 of the 742 tensors of the osmosis graph. ONNX Runtime's symbolic_shape_infer (1.31.1)
fails on both authored graphs; on others it fills such gaps with new names and guesses, so the result looks complete.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_node_outputs

__all__ = ["UnknownShapeError", "infer_shapes"]

Value = npt.NDArray[np.generic]


class UnknownShapeError(Exception):
    """The shape of a tensor does not follow from the shapes of the inputs.

    Attributes:
        node: The node that computes the tensor.
        reason: Why the shape is unknown.
    """

    def __init__(self, node: onnx.NodeProto, reason: str) -> None:
        super().__init__(reason)
        self.node, self.reason = node, reason


def infer_shapes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Infer the shape of every tensor of the graph.

    Args:
        model: A model without subgraphs and functions. Its external data need not be loaded.
        sizes: The named dimensions of the inputs, such as {"batch": 2, "sequence": 7}.

    Returns:
        The shapes by the names of the tensors.

    Raises:
        UnknownShapeError: A node has an output whose shape is unknown, or inputs whose shapes do not match.
    """
    return _Resolver(model, sizes).infer_shapes()


class _Resolver:
    """The types of the tensors so far, and the values of those that depend on constants and shapes alone."""

    def __init__(self, model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
        self.model = model
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        self.types: dict[str, onnx.TypeProto] = {}
        self.values: dict[str, Value] = {}
        for item in model.graph.input:
            declared = item.type.tensor_type
            dims = [dim.dim_value or sizes[dim.dim_param] for dim in declared.shape.dim]
            self.types[item.name] = helper.make_tensor_type_proto(declared.elem_type, dims)
        for tensor in model.graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if not uses_external_data(tensor):
                self.values[tensor.name] = numpy_helper.to_array(tensor)

    def infer_shapes(self) -> dict[str, tuple[int, ...]]:
        for node in self.model.graph.node:
            computed = self._compute(node)
            if computed is not None:
                for name, value in computed.items():
                    self.values[name] = value
                    element = helper.np_dtype_to_tensor_dtype(value.dtype)
                    self.types[name] = helper.make_tensor_type_proto(element, value.shape)
            else:
                self.types.update(self._infer(node))
        return {name: self._shape(name) for name in self.types}

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(dim.dim_value for dim in self.types[name].tensor_type.shape.dim)

    def _compute(self, node: onnx.NodeProto) -> dict[str, Value] | None:
        """Compute the outputs of a node that reads only constants and shapes; return None for any other node."""
        if node.op_type in ("Shape", "Size"):
            dims = np.array(self._shape(node.input[0]), np.int64)
            bounds = {attribute.name: attribute.i for attribute in node.attribute}
            part = dims[bounds.get("start", 0) : bounds.get("end", len(dims))]
            return {node.output[0]: part if node.op_type == "Shape" else np.array(part.prod(), np.int64)}
        inputs = [name for name in node.input if name]
        if not all(name in self.values for name in inputs):
            return None
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_value_info(name, self.types[name]) for name in dict.fromkeys(inputs)],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        one_node = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        try:
            results = ReferenceEvaluator(one_node).run(None, {name: self.values[name] for name in inputs})
        except Exception as error:  # numpy raises various errors for values that an operator does not accept
            raise UnknownShapeError(node, f"{type(error).__name__}: {error}") from error
        return dict(zip((name for name in node.output if name), map(np.asarray, results), strict=True))

    def _infer(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        """Infer the types of a node's outputs, each with a shape of plain numbers."""
        inputs = [name for name in node.input if name]
        known = {name: numpy_helper.from_array(self.values[name]) for name in inputs if name in self.values}
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        try:
            types = infer_node_outputs(
                schema,
                node,
                {name: self.types[name] for name in inputs},
                known,
                opset_imports=[helper.make_opsetid("", self.opset)],
                ir_version=self.model.ir_version,
            )
        except onnx.shape_inference.InferenceError as error:
            raise UnknownShapeError(node, " ".join(str(error).split())) from error
        for name in filter(None, node.output):
            declared = types[name].tensor_type if name in types else None
            if declared is None or not declared.HasField("shape"):
                raise UnknownShapeError(node, f"the rank of {name!r} cannot be inferred")
            if not all(dim.HasField("dim_value") for dim in declared.shape.dim):
                raise UnknownShapeError(node, f"a dimension of {name!r} does not follow from the shapes of the inputs")
        return dict(types)
