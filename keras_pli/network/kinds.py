"""Kinds of operations, by the names that TensorFlow gives them; the one table that all rooms read.

Operations of a Keras graph are called by the same names here (see `keras_graph`).
"""

from __future__ import annotations

# Give a tensor another name or type only.
RENAMES = frozenset({"Identity", "Cast", "StopGradient", "EnsureShape"})
# Hand their input on, value by value and in the same order.
CARRIERS = RENAMES | {"Reshape", "Squeeze", "ExpandDims"}
# Make probabilities, or their logarithms, of logits.
SQUASHES = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
RECTIFIERS = frozenset({"Relu", "Relu6", "LeakyRelu", "Elu", "Selu"})
MAXIMA = frozenset({"MaxPool", "MaxPool3D", "Max"})
# Linear in all inputs together.
SUMS = frozenset({"AddV2", "Add", "AddN", "Sub", "BiasAdd", "ConcatV2", "Pack"})
# Linear in each of two inputs.
MATRIX_PRODUCTS = frozenset({"MatMul", "BatchMatMulV2", "BatchMatMulV3"})
PRODUCTS = MATRIX_PRODUCTS | {"Mul", "Einsum"}
QUOTIENTS = frozenset({"RealDiv", "Div", "DivNoNan", "Xdivy"})
CONVOLUTIONS = frozenset(
    {
        *("Conv2D", "Conv3D", "DepthwiseConv2dNative"),
        *("Conv2DBackpropInput", "Conv3DBackpropInputV2"),
    }
)
# Choose, repeat or place values, or put zeros beside them.
PLACINGS = frozenset(
    {
        *("Transpose", "ReverseV2", "Split", "SplitV", "Unpack", "Slice", "StridedSlice", "Roll"),
        *("GatherV2", "GatherNd", "Tile", "BroadcastTo", "Pad", "PadV2", "MirrorPad"),
        *("DepthToSpace", "SpaceToDepth", "SpaceToBatchND", "BatchToSpaceND"),
    }
)
RESIZINGS = frozenset(
    {"ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate"}
)
# Take axes away; choices have no option to keep them.
CHOICES = frozenset({"ArgMax", "ArgMin"})
REDUCTIONS = CHOICES | {"Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm"}
AVERAGES = frozenset({"Sum", "Mean", "Cumsum", "AvgPool", "AvgPool3D"})
POOLINGS = frozenset({"MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D"})
# Functions of their own that an operation calls.
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# Choose at run time what to compute, or compute what a graph does not show.
OPAQUE = frozenset(
    {
        *("If", "StatelessIf", "Case", "StatelessCase", "PyFunc", "PyFuncStateless", "EagerPyFunc"),
        *("XlaCallModule", "XlaLaunch"),
    }
)

# What integers are when they become numbers again, as places and truths do; `graph` tells them from a
# "Cast", and powers below 0, which are a "Reciprocal", from a "Pow".
FROM_INTEGERS = "Cast of integers"
# Nonlinear functions that keep within bounds, or that probabilities are made with.
BOUNDED = SQUASHES | {
    *("Exp", "Tanh", "Relu6", "Erf", "Erfc", "Softsign", "Atan", "Sin", "Cos", "ClipByValue"),
    *("Sign", "Round", "Rint", "Floor", "Ceil", "OneHot"),
}
# Nonlinear functions of single values, at which no output that is a logit ends, scaled and shifted or not.
CURVES = (RECTIFIERS | BOUNDED - SQUASHES) | {
    *(
        "Softplus",
        "Expm1",
        "Log",
        "Log1p",
        "Abs",
        "Square",
        "Sqrt",
        "Rsqrt",
        "Pow",
        "Reciprocal",
        "Inv",
    ),
    FROM_INTEGERS,
}
# Scale and shift what they are given, where all else that they are given is constant.
AFFINE = frozenset({"AddV2", "Add", "Sub", "BiasAdd", "Mul", "RealDiv", "Neg"})
# By which values are normalized where they are multiplied.
INVERSES = frozenset({"Reciprocal", "Inv", "Rsqrt"})
# Make, of probabilities, other probabilities or shares of them.
MIXTURES = (
    (SUMS | {"Mul"} | MAXIMA | PLACINGS | RESIZINGS | AVERAGES | CARRIERS)
    | {"SelectV2", "Maximum", "Minimum", "Min", "Prod", "TopKV2", "Neg", "IdentityN"}
    | {"FusedBatchNormV3", "Cumprod", "UnsortedSegmentSum", "SegmentSum", "SegmentMean"}
    | {"ScatterNd", "TensorScatterUpdate", "TensorScatterAdd", "ReverseSequence"}
)
