"""Each rule of the TensorRT lint finds a graph that breaks it, and the graphs that the exporter writes break none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from assay_export import exporter
from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.errors import ExportError
from assay_export.graphs.architectures.deberta_v2 import graph as deberta_v2
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Dialect
from assay_export.tensorrt import lint
from assay_export.tensorrt.operators import DATA_DEPENDENT, INTEGER_ARITHMETIC, OPERATORS, TENSOR_TYPES
from tests.conftest import CHECKPOINTS
from tests.export import tiny

HEAD = (
    '<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]> '
    "g (int64[batch, sequence] ids, float[batch, sequence, 8] x) => (float[a, b, c] y) "
)
LENGTH = "n = Shape <start = 1, end = 2> (ids) one = Constant <value_ints = [1]> () "


def make_model(body: str, *initializers: onnx.TensorProto) -> onnx.ModelProto:
    """Parse a graph of token ids and activations [batch, sequence, 8]; its nodes are named by their outputs."""
    result = onnx.parser.parse_model(f"{HEAD} {{ {body} }}")
    for node in result.graph.node:
        node.name = f"node {node.output[0]}"
    result.graph.initializer.extend(initializers)
    return result


def lint_model(graph: onnx.ModelProto, folder: Path) -> list[lint.Finding]:
    onnx.save(graph, folder / "graph.onnx")
    return lint.lint(folder / "graph.onnx")


def constant(name: str, values: Any, kind: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, kind), name)


BROKEN: dict[str, tuple[str, str, str]] = {
    # What is wrong: (the nodes, the node that the finding names, a part of the message).
    "a contrib operator": ("y = com.microsoft.Gelu (x)", "node y", "com.microsoft.Gelu.*not a standard operator"),
    "If": (
        "c = Constant <value_int = 1> () b = Cast <to = 9> (c) y = If (b) <"
        "then_branch = t () => (float[batch, sequence, 8] t0) { t0 = Relu (x) }, "
        "else_branch = e () => (float[batch, sequence, 8] e0) { e0 = Tanh (x) }>",
        "node y",
        "If.*control flow",
    ),
    "NonZero": ("z = NonZero (x) y = Cast <to = 1> (z)", "node z", "NonZero.*shape depends on values"),
    "an operator that is not listed": ("y = Det (x)", "node y", "Det.*not among the operators"),
    "an operator newer than the opset": ("y = RMSNormalization (x, x)", "node y", "not among the operators"),
    "float64": (
        "d = Cast <to = 11> (x) e = Add (d, d) y = Cast <to = 1> (e)",
        "node d",
        "writes 'd', which is DOUBLE",
    ),
    "a type that the operator is not listed for": (
        "b = Cast <to = 6> (x) e = MatMul (b, b) y = Cast <to = 1> (e)",
        "node e",
        "reads 'b', which is INT32, but TensorRT 10 lists the operator for FLOAT, FLOAT16, BFLOAT16",
    ),
    "int8 that is not quantised from a float": ("i = Cast <to = 3> (x) y = Cast <to = 1> (i)", "node y", "INT8"),
    "a second output": (
        "y, mean = LayerNormalization <axis = -1> (x, gain)",
        "node y",
        "more than one output",
    ),
    "axes that are computed": (
        f"{LENGTH} axes = Sub (n, n) z = ReduceSum <keepdims = 1> (x, axes) y = Add (x, z)",
        "node z",
        "'axes', which must be a constant",
    ),
    "a zero point other than 0": (
        "q = QuantizeLinear (x, scale, three) y = DequantizeLinear (q, scale, three)",
        "node q",
        "zero point 'three' other than 0",
    ),
    "a scale that is computed": (
        "s = ReduceMax <keepdims = 0> (x) q = QuantizeLinear (x, s, none) y = DequantizeLinear (q, s, none)",
        "node q",
        "'s', which must be a constant",
    ),
    "a shape from a value": (
        "first = Constant <value_ints = [0]> () ends = ReduceMax <keepdims = 0> (ids) "
        "minus = Constant <value_ints = [-1]> () end = Reshape (ends, minus) "
        "y = Slice (x, first, end, first)",
        "node y",
        "output's shape from 'end', which depends on the values of an input",
    ),
    "integer arithmetic on ids as indices": (
        f"{LENGTH} shifted = Add (ids, one) y = Gather (table, shifted)",
        "node y",
        "uses 'shifted', integers computed by Add 'node shifted', for something other than a shape",
    ),
    "integer arithmetic on positions as indices": (
        f"{LENGTH} zero = Constant <value_int = 0> () step = Constant <value_int = 1> () n0 = Squeeze (n) "
        "r = Range (zero, n0, step) m = Mul (r, one) w = Unsqueeze (m, one) v = Concat <axis = 0> (w, w) "
        "y = Gather (table, v)",
        "node y",
        "Mul 'node m'",
    ),
    "integer arithmetic that becomes a float": (
        f"{LENGTH} m = Sub (n, one) f = Cast <to = 1> (m) y = Mul (x, f)",
        "node f",
        "Sub 'node m'",
    ),
    "integer arithmetic that is compared": (
        f"{LENGTH} m = Sub (ids, one) c = Equal (m, ids) f = Cast <to = 1> (c) y = Unsqueeze (f, one)",
        "node f",
        "Sub 'node m'",
    ),
}
CONSTANTS = (
    constant("gain", np.ones(8)),
    constant("scale", 0.1),
    constant("three", 3, np.int8),
    constant("none", 0, np.int8),
    constant("table", np.zeros((700, 8))),
)


@pytest.mark.parametrize(("body", "node", "message"), BROKEN.values(), ids=BROKEN)
def test_a_graph_that_breaks_a_rule_is_refused_with_the_node_and_the_problem(
    body: str, node: str, message: str, tmp_path: Path
) -> None:
    found = lint_model(make_model(body, *CONSTANTS), tmp_path)
    assert [finding.node for finding in found][:1] == [node], found
    with pytest.raises(
        ExportError, match=rf"^onnx/model\.onnx contains something that TensorRT 10 does not accept: .*{message}.*; "
    ):
        lint.check(tmp_path / "graph.onnx", "onnx/model.onnx", 512)


PASSING = {
    "ids as indices of a table": "y = Gather (table, ids)",
    "the length as a bound": "first = Constant <value_ints = [0]> () n = Shape <start = 1, end = 2> (ids) "
    "y = Slice (x, first, n, n1)",
    "arithmetic on a length that ends in shapes": f"{LENGTH} m = Sub (n, one) p = Max (m, one) q = Concat <axis = 0> "
    "(n, p, one) y = ConstantOfShape (q)",
    "a comparison that chooses between shapes": f"{LENGTH} m = Add (n, n) c = Greater (m, one) w = Where (c, n, one) "
    "s = Concat <axis = 0> (w, one, one) y = ConstantOfShape (s)",
    "a mask that is cast": "b = Cast <to = 9> (ids) f = Cast <to = 1> (b) y = Unsqueeze (f, n1)",
    "positions as indices": "n = Shape <start = 1, end = 2> (ids) n0 = Squeeze (n) zero = Constant <value_int = 0> () "
    "step = Constant <value_int = 1> () r = Range (zero, n0, step) w = Unsqueeze (r, n1) y = Gather (table, w)",
    "symmetric quantisation": "q = QuantizeLinear (x, scale, none) y = DequantizeLinear (q, scale, none)",
    "half precision": "h = Cast <to = 10> (x) s = Softmax <axis = -1> (h) y = Cast <to = 1> (s)",
    "bfloat16": "h = Cast <to = 16> (x) s = Add (h, h) y = Cast <to = 1> (s)",
}


@pytest.mark.parametrize("body", PASSING.values(), ids=PASSING)
def test_what_tensorrt_accepts_is_not_a_finding(body: str, tmp_path: Path) -> None:
    assert lint_model(make_model(body, *CONSTANTS, constant("n1", [1], np.int64)), tmp_path) == []


@pytest.mark.parametrize("opset", [8, 21])
def test_an_opset_that_some_tensorrt_10_does_not_read_is_a_finding(opset: int, tmp_path: Path) -> None:
    graph = make_model("y = Relu (x)")
    graph.opset_import[0].version = opset
    assert [finding.operator for finding in lint_model(graph, tmp_path)] == ["graph"]


def test_a_local_function_is_a_finding(tmp_path: Path) -> None:
    graph = onnx.parser.parse_model(
        HEAD.replace("com.microsoft", "local") + "{ y = local.twice (x) } "
        '<opset_import: ["": 20], domain: "local"> twice (a) => (b) { b = Add (a, a) }'
    )
    assert {finding.operator for finding in lint_model(graph, tmp_path)} == {"function", "local.twice"}


def test_an_input_with_an_unnamed_dimension_is_a_finding(tmp_path: Path) -> None:
    graph = make_model("y = Relu (x)")
    graph.graph.input[1].type.tensor_type.shape.dim[1].Clear()
    assert [str(finding) for finding in lint_model(graph, tmp_path)] == [
        "input 'x': has a dimension with neither a size nor a name; name it, such as batch or sequence"
    ]


def test_a_tensor_of_unknown_rank_is_a_finding(tmp_path: Path) -> None:
    target = helper.make_tensor_value_info("target", TensorProto.INT64, ["rank"])
    graph = make_model("y = Reshape (x, target)")
    graph.graph.input.append(target)
    found = lint_model(graph, tmp_path)
    assert any(finding.node == "node y" and "rank" in finding.problem for finding in found), found


def test_shapes_that_match_only_at_some_lengths_are_a_finding(tmp_path: Path) -> None:
    (found,) = lint_model(make_model("y = Reshape (x, even)", constant("even", [-1, 2, 8], np.int64)), tmp_path)
    assert "at batch 1, sequence 1" in found.problem


STEPS = st.lists(st.sampled_from(["Add", "Sub", "Mul", "Max", "Concat", "Reshape", "Identity", "Cast"]), max_size=6)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
def test_integer_arithmetic_is_followed_through_operators_that_move_it(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    body, last = LENGTH, "n"
    for number, step in enumerate(steps):
        name = f"s{number}"
        body += {
            "Concat": f"{name}c = Concat <axis = 0> ({last}, one) {name} = Slice ({name}c, zero, one, zero) ",
            "Reshape": f"{name} = Reshape ({last}, one) ",
            "Identity": f"{name} = Identity ({last}) ",
            "Cast": f"{name}i = Cast <to = 6> ({last}) {name} = Cast <to = 7> ({name}i) ",
        }.get(step, f"{name} = {step} ({last}, one) ")
        last = name
    extra: tuple[onnx.TensorProto, ...] = (
        *CONSTANTS[:-1],
        constant("zero", [0], np.int64),
        constant("table", np.zeros((2000, 8))),
    )
    extra = tuple(tensor for tensor in extra if tensor.data_type != TensorProto.INT8)
    folder = tmp_path_factory.mktemp("graph")
    as_bound = lint_model(make_model(f"{body} y = Slice (x, zero, {last}, zero)", *extra), folder)
    as_index = lint_model(make_model(f"{body} u = Gather (table, {last}) y = Add (x, u)", *extra), folder)
    assert as_bound == []
    is_computed = any(step in INTEGER_ARITHMETIC for step in steps)
    assert [finding.operator for finding in as_index] == (["Gather"] if is_computed else [])


def test_the_tables_contain_known_operators_only_and_none_that_depends_on_values() -> None:
    assert not DATA_DEPENDENT & set(OPERATORS)
    assert set(OPERATORS) >= INTEGER_ARITHMETIC
    assert all(types <= TENSOR_TYPES for types in OPERATORS.values())
    assert all(onnx.defs.has(name, 20, "") for name in OPERATORS)


def test_a_cpu_graph_does_not_pass(tmp_path: Path) -> None:
    config = to_transformers_4(tiny.deberta_config())
    found = lint.lint(tiny.author(tiny.model(config), config, tmp_path)[Dialect.CPU])
    assert {finding.operator for finding in found} == {"com.microsoft.FusedMatMul"}


def test_an_authored_graph_with_a_finding_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    author = deberta_v2.author

    def doubled(net: Net, *arguments: Any) -> Any:
        monkeypatch.setattr(
            net,
            "activation",
            lambda x, _: net.op.Cast(net.op.Gelu(net.op.Cast(x, to=TensorProto.DOUBLE)), to=TensorProto.FLOAT),
        )
        return author(net, *arguments)

    monkeypatch.setattr(deberta_v2, "author", doubled)
    with pytest.raises(ExportError, match=r"onnx/model\.onnx contains something .* Cast .*DOUBLE"):
        exporter.export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_records_that_an_authored_graph_has_no_findings(pair_bundle: Path) -> None:
    manifest = json.loads((pair_bundle / "assay.json").read_text(encoding="utf-8"))
    assert manifest["variants"]["fp32"]["portable"]["tensorrt_findings"] == []
