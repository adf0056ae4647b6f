"""The operators and types that the ONNX parser of every TensorRT 10 accepts, according to its documentation.

The source is docs/operators.md of github.com/onnx/onnx-tensorrt. The table below is from the version for TensorRT 10.6
(commit 0137504). The versions for 10.8 (554c9f1), 10.12 (4df1996) and 10.15 (fa5aa9f) list each of its rows with the
same types or more. For 10.0 to 10.5 there is only docs/Changelog.md: the operators that were added after 10.0 are left
out (DeformConv, STFT, three windows), and `axes` of a Slice must be constant, a restriction that 10.3 lifted. 10.0
reads opsets 9 to 20 (its operators.md, quoted in NVIDIA/TensorRT issue 4336). Bounds may be computed from shapes
according to the importers of Pad, Slice and Range (onnxOpImporters.cpp of 10.6).

To raise graphs.net.OPSET or to use another operator, read the document again and name its version here.
"""

from collections.abc import Mapping

from onnx import TensorProto

__all__ = [
    "CONSTANT_INPUTS",
    "DATA_DEPENDENT",
    "FIRST_OUTPUT_ONLY",
    "INTEGER_ARITHMETIC",
    "OPERATORS",
    "OPSETS",
    "TENSOR_TYPES",
]

OPSETS = range(9, 21)

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16})
_NUMBERS = _FLOATS | {TensorProto.INT32, TensorProto.INT64}
_ALL = _NUMBERS | {TensorProto.BOOL}

# Element types of tensors. Left out are DOUBLE, which the document says is cast "down to FLOAT"; UINT8, allowed for
# inputs and outputs only; and types of fewer bits, which only some GPUs have. No operator computes in INT8: in the
# table below only QuantizeLinear and DequantizeLinear have it.
TENSOR_TYPES = _ALL | {TensorProto.INT8}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Control flow, and operators whose output shapes depend on values. TensorRT lists If, Loop, Scan, NonMaxSuppression and
# NonZero, but without them the shapes of a graph are known before it runs.
DATA_DEPENDENT = _names("Compress If Loop NonMaxSuppression NonZero Scan SequenceMap Unique")

# Operators that compute integers from integers. CumSum and Pow are listed for floats only.
INTEGER_ARITHMETIC = _names(
    """
    Abs Add Div Max Mean Min Mod Mul Neg ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Shrink Sign Sub Sum
    """
)

_ROWS = {
    _FLOATS: _names(
        """
        Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv ConvTranspose Cos Cosh
        CumSum Dropout Einsum Elu Erf Exp Floor GRU Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
        GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
        LeakyRelu Log LogSoftmax LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization PRelu Pow RNN
        RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal Resize Round Selu Sigmoid Sin Sinh
        Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu
        """
    ),
    frozenset({TensorProto.FLOAT, TensorProto.FLOAT16}): _names("GridSample Mish RoiAlign"),
    _NUMBERS: INTEGER_ARITHMETIC
    | _names(
        """
        ArgMax ArgMin DepthToSpace Equal Greater GreaterOrEqual Less LessOrEqual Pad Range ScatterElements ScatterND
        SpaceToDepth TopK
        """
    ),
    _ALL: _names(
        """
        Cast CastLike Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND Identity
        OneHot Reshape ReverseSequence Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where
        """
    ),
    frozenset({TensorProto.BOOL}): _names("And Not Or Xor"),
    _FLOATS | {TensorProto.INT8}: _names("DequantizeLinear QuantizeLinear"),
}

# The types of the tensors that each operator computes with. Indices, shapes and conditions have other types.
OPERATORS: Mapping[str, frozenset[int]] = {name: types for types, names in _ROWS.items() for name in names}

# Inputs that must be constants of the graph, by position. The source for scales and zero points is TensorRT's operator
# reference, under Quantize and Dequantize ("must be a build-time constant"); for the others, the document's table.
CONSTANT_INPUTS: Mapping[str, tuple[int, ...]] = {
    **{name: (1,) for name in OPERATORS if name.startswith("Reduce")},
    "CumSum": (1,),
    "DequantizeLinear": (1, 2),
    "OneHot": (1,),
    "QuantizeLinear": (1, 2),
    "Slice": (3,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}

# Operators whose outputs after the first are not supported.
FIRST_OUTPUT_ONLY = _names("BatchNormalization LayerNormalization MaxPool")
