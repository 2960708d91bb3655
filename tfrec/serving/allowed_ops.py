"""The ops that a served SavedModel may have, of TensorFlow 2.21 and of Tfrec.

An op that is not here is refused, one of a later TensorFlow too.
`tests/serving/allowed_ops_test.py` goes through the registry of the TensorFlow that is
installed: it says by which rule an op without state is here or not, and fails when a
TensorFlow comes whose ops differ.
"""

import dataclasses

from tensorflow.core.framework import types_pb2

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})

# What the saver of a SavedModel runs, and only it may: they name files.
SAVE = frozenset({"MergeV2Checkpoints", "SaveV2", "ShardedFilename"})
RESTORE = frozenset({"RestoreV2"})
# Reads a table from a file, which must be an asset of the SavedModel.
TABLE_FROM_FILE = frozenset({"InitializeTableFromTextFileV2"})
FILES = SAVE | RESTORE | TABLE_FROM_FILE

TFREC = frozenset({"Tfrec>GraphExpand", "Tfrec>PathTopK", "Tfrec>VisitedInsert"})

_BRANCHES = "Case If StatefulPartitionedCall While"
_VARIABLES = """
AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead
ReadVariableOp ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterDiv
ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterNdAdd
ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate
ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign VarHandleOp
VarIsInitializedOp VariableShape
"""
_TABLES = """
AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
AnonymousMutableHashTableOfTensors HashTableV2 InitializeTableV2 LookupTableExportV2
LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableRemoveV2
LookupTableSizeV2 MutableDenseHashTableV2 MutableHashTableOfTensorsV2 MutableHashTableV2
"""
_LISTS = """
TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3
TensorArrayWriteV3
"""
# Their state is a generator of random numbers.
_RANDOM = """
AllCandidateSampler LearnedUnigramCandidateSampler LogUniformCandidateSampler
Multinomial NonDeterministicInts ParameterizedTruncatedNormal RandomGamma
RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
RngReadAndSkip RngSkip SampleDistortedBoundingBoxV2 StatefulRandomBinomial
StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt
StatefulUniformInt StatelessRandomGetAlg ThreadUnsafeUnigramCandidateSampler
TruncatedNormal UniformCandidateSampler
"""
# They compute: their state is an error, a line in the log, a clock or a device.
_EFFECTS = """
Assert CheckNumerics CudnnRNN CudnnRNNV2 CudnnRNNV3 DeviceIndex GuaranteeConst Print
PrintV2 Timestamp
"""
STATEFUL = frozenset(
    f"{_BRANCHES} {_VARIABLES} {_TABLES} {_LISTS} {_RANDOM} {_EFFECTS}".split()
)

_STATELESS = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrast AdjustContrastv2 AdjustHue
AdjustSaturation All Angle Any ApproxTopK ApproximateEqual ArgMax ArgMin AsString Asin
Asinh Atan Atan2 Atanh AudioSpectrogram AudioSummary AudioSummaryV2 AvgPool AvgPool3D
AvgPool3DGrad AvgPoolGrad BandedTriangularSolve Batch BatchCholesky BatchCholeskyGrad
BatchFFT BatchFFT2D BatchFFT3D BatchFunction BatchIFFT BatchIFFT2D BatchIFFT3D
BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart BatchMatrixDeterminant
BatchMatrixDiag BatchMatrixDiagPart BatchMatrixInverse BatchMatrixSetDiag
BatchMatrixSolve BatchMatrixSolveLs BatchMatrixTriangularSolve
BatchNormWithGlobalNormalization BatchNormWithGlobalNormalizationGrad
BatchSelfAdjointEig BatchSelfAdjointEigV2 BatchSvd BatchToSpace BatchToSpaceND BesselI0
BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e
BesselY0 BesselY1 Betainc BiasAdd BiasAddGrad BiasAddV1 Bincount Bitcast BitwiseAnd
BitwiseOr BitwiseXor BlockLSTM BlockLSTMGrad BlockLSTMGradV2 BlockLSTMV2
BoostedTreesAggregateStats BoostedTreesBucketize BoostedTreesCalculateBestFeatureSplit
BoostedTreesCalculateBestFeatureSplitV2 BoostedTreesCalculateBestGainsPerFeature
BoostedTreesMakeQuantileSummaries BoostedTreesMakeStatsSummary
BoostedTreesSparseAggregateStats BoostedTreesSparseCalculateBestFeatureSplit
BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize CSRSparseMatrixComponents
CSRSparseMatrixToDense CSRSparseMatrixToSparseTensor CTCBeamSearchDecoder
CTCGreedyDecoder CTCLoss CTCLossV2 Cast Ceil CheckPinned Cholesky CholeskyGrad
ClipByValue CombinedNonMaxSuppression Complex ComplexAbs
CompositeTensorVariantFromComponents CompositeTensorVariantToComponents
ComputeAccidentalHits Concat ConcatOffset ConcatV2 Conj ConjugateTranspose Const
ControlTrigger Conv Conv2D Conv2DBackpropFilter Conv2DBackpropFilterV2
Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilter
Conv3DBackpropFilterV2 Conv3DBackpropInput Conv3DBackpropInputV2 Cos Cosh CropAndResize
CropAndResizeGradBoxes CropAndResizeGradImage Cross CudnnRNNCanonicalToParams
CudnnRNNCanonicalToParamsV2 CudnnRNNParamsSize CudnnRNNParamsToCanonical
CudnnRNNParamsToCanonicalV2 Cumprod Cumsum CumulativeLogsumexp DataFormatDimMap
DataFormatVecPermute Dawsn DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeCSV
DecodeCompressed DecodeGif DecodeImage DecodeJSONExample DecodeJpeg DecodeJxl
DecodePaddedRaw DecodePng DecodeRaw DecodeWav DecodeWebP DenseBincount
DenseCountSparseOutput DenseToCSRSparseMatrix DenseToDenseSetOperation
DenseToSparseSetOperation DepthToSpace DepthwiseConv2dNative
DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dequantize
DeserializeManySparse DeserializeSparse Diag DiagPart Digamma Dilation2D
Dilation2DBackpropFilter Dilation2DBackpropInput Div DivNoNan DrawBoundingBoxes
DrawBoundingBoxesV2 DynamicPartition DynamicStitch EditDistance Eig Einsum Elu EluGrad
EmptyTensorList EmptyTensorMap EncodeBase64 EncodeJpeg EncodeJpegVariableQuality
EncodePng EncodeWav EnsureShape Enter Equal Erf Erfc Erfinv EuclideanNorm Exit Exp
ExpandDims Expint Expm1 ExtractGlimpse ExtractGlimpseV2 ExtractImagePatches
ExtractJpegShape ExtractVolumePatches FFT FFT2D FFT3D FFTND Fact FakeParam
FakeQuantWithMinMaxArgs FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars
FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannel
FakeQuantWithMinMaxVarsPerChannelGradient Fill Fingerprint Floor FloorDiv FloorMod For
FractionalAvgPool FractionalAvgPoolGrad FractionalMaxPool FractionalMaxPoolGrad
FresnelCos FresnelSin FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2
FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D
FusedResizeAndPadConv2D GRUBlockCell GRUBlockCellGrad Gather GatherNd GatherV2
GenerateBoundingBoxProposals Greater GreaterEqual HSVToRGB HistogramFixedWidth
HistogramSummary IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND Identity
IdentityN Igamma IgammaGradA Igammac Imag ImageProjectiveTransformV2
ImageProjectiveTransformV3 ImageSummary InTopK InTopKV2 InplaceAdd InplaceSub
InplaceUpdate Inv InvGrad Invert InvertPermutation IsFinite IsInf IsNan
IsotonicRegression KMC2ChainInitialization KmeansPlusPlusInitialization L2Loss LRN
LRNGrad LSTMBlockCell LSTMBlockCellGrad LeakyRelu LeakyReluGrad LeftShift Less LessEqual
Lgamma LinSpace ListDiff Log Log1p LogMatrixDeterminant LogSoftmax LogicalAnd LogicalNot
LogicalOr LoopCond LowerBound Lu MapDefun MatMul MatrixBandPart MatrixDeterminant
MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSetDiagV2
MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Max
MaxPool MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad
MaxPoolGradGradV2 MaxPoolGradGradWithArgmax MaxPoolGradV2 MaxPoolGradWithArgmax
MaxPoolV2 MaxPoolWithArgmax Maximum Mean Merge MergeSummary Mfcc Min Minimum MirrorPad
MirrorPadGrad Mod Mul MulNoNan Ndtri NearestNeighbors Neg NextAfter NextIteration NoOp
NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4
NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NotEqual NthElement OneHot OnesLike
OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone Pack Pad PadV2
ParallelConcat ParallelDynamicStitch ParseExample ParseExampleV2 ParseSequenceExample
ParseSequenceExampleV2 ParseSingleExample ParseSingleSequenceExample ParseTensor
PartitionedCall Placeholder PlaceholderV2 PlaceholderWithDefault Polygamma
PopulationCount Pow PreventGradient Prod Qr QuantizeAndDequantize
QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
QuantizeAndDequantizeV4Grad QuantizeDownAndShrinkRange QuantizeV2 QuantizedAdd
QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd
QuantizedConcat QuantizedConv2D QuantizedConv2DAndRelu
QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize
QuantizedConv2DPerChannel QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu
QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DWithBiasAndRequantize
QuantizedConv2DWithBiasSignedSumAndReluAndRequantize QuantizedConv2DWithBiasSumAndRelu
QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D
QuantizedDepthwiseConv2DWithBias QuantizedDepthwiseConv2DWithBiasAndRelu
QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize QuantizedInstanceNorm
QuantizedMatMul QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize
QuantizedMatMulWithBiasAndRelu QuantizedMatMulWithBiasAndReluAndRequantize
QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool QuantizedMul QuantizedRelu
QuantizedRelu6 QuantizedReluX QuantizedReshape QuantizedResizeBilinear RFFT RFFT2D
RFFT3D RFFTND RGBToHSV RaggedBincount RaggedCountSparseOutput RaggedCross
RaggedFillEmptyRows RaggedFillEmptyRowsGrad RaggedGather RaggedRange
RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant
RaggedTensorToVariantGradient RandomGammaGrad RandomIndexShuffle Range Rank Real RealDiv
Reciprocal ReciprocalGrad ReduceJoin RegexFullMatch RegexReplace Relu Relu6 Relu6Grad
ReluGrad RequantizationRange RequantizationRangePerChannel Requantize
RequantizePerChannel Reshape ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear
ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad Reverse
ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt RsqrtGrad ScalarSummary
ScaleAndTranslate ScaleAndTranslateGrad ScatterNd ScatterNdNonAliasingAdd SdcaFprint
SdcaOptimizer SdcaOptimizerV2 SegmentMax SegmentMaxV2 SegmentMean SegmentMin
SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Select SelectV2
SelfAdjointEig SelfAdjointEigV2 Selu SeluGrad SerializeManySparse SerializeSparse
SerializeTensor SetSize Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh Size Slice
Snapshot SobolSample Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad
Softsign SoftsignGrad SpaceToBatch SpaceToBatchND SpaceToDepth SparseAdd SparseAddGrad
SparseBincount SparseConcat SparseCountSparseOutput SparseCross SparseCrossHashed
SparseCrossV2 SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul
SparseFillEmptyRows SparseFillEmptyRowsGrad SparseMatMul SparseMatrixAdd
SparseMatrixMatMul SparseMatrixMul SparseMatrixNNZ SparseMatrixOrderingAMD
SparseMatrixSoftmax SparseMatrixSoftmaxGrad SparseMatrixSparseCholesky
SparseMatrixSparseMatMul SparseMatrixTranspose SparseMatrixZeros SparseReduceMax
SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseReorder SparseReshape
SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanGradV2
SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNGrad
SparseSegmentSqrtNGradV2 SparseSegmentSqrtNWithNumSegments SparseSegmentSum
SparseSegmentSumGrad SparseSegmentSumGradV2 SparseSegmentSumWithNumSegments SparseSlice
SparseSliceGrad SparseSoftmax SparseSoftmaxCrossEntropyWithLogits SparseSparseMaximum
SparseSparseMinimum SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul
SparseTensorToCSRSparseMatrix SparseToDense SparseToSparseSetOperation Spence Split
SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze StatelessCase StatelessIf
StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial
StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetKeyCounter
StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformFullInt
StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
StatelessRandomUniformV2 StatelessSampleDistortedBoundingBox StatelessShuffle
StatelessTruncatedNormal StatelessTruncatedNormalV2 StatelessWhile StaticRegexFullMatch
StaticRegexReplace StopGradient StridedSlice StridedSliceGrad StringFormat StringJoin
StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip
StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber
StringUpper Sub Substr Sum Svd Switch SymbolicGradient Tan Tanh TanhGrad
TensorArrayCloseV2 TensorArrayConcatV2 TensorArrayGatherV2 TensorArrayReadV2
TensorArrayScatterV2 TensorArraySizeV2 TensorArraySplitV2 TensorArrayWriteV2
TensorListConcat TensorListConcatLists TensorListConcatV2 TensorListElementShape
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve
TensorListResize TensorListScatter TensorListScatterIntoExistingList TensorListScatterV2
TensorListSetItem TensorListSplit TensorListStack TensorMapErase TensorMapHasKey
TensorMapInsert TensorMapLookup TensorMapSize TensorMapStackKeys TensorScatterAdd
TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
TensorStridedSliceUpdate TensorSummary TensorSummaryV2 Tile TileGrad ToBool TopK TopKV2
Transpose TridiagonalMatMul TridiagonalSolve TruncateDiv TruncateMod Unbatch UnbatchGrad
UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode
UniformDequantize UniformQuantize UniformQuantizedAdd UniformQuantizedClipByValue
UniformQuantizedConvolution UniformQuantizedConvolutionHybrid UniformQuantizedDot
UniformQuantizedDotHybrid UniformRequantize Unique UniqueV2 UniqueWithCounts
UniqueWithCountsV2 Unpack UnravelIndex UnsortedSegmentJoin UnsortedSegmentMax
UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound Where Xdivy Xlog1py
Xlogy ZerosLike Zeta
"""
STATELESS = frozenset(_STATELESS.split())

COMPUTING = STATELESS | STATEFUL | TFREC

_LOGS = frozenset({b"stderr", b"log(info)", b"log(warning)", b"log(error)"})
_REFERENCES = 100  # types from here on are references to the others
_PLAIN = {t for t in types_pb2.DataType.values() if 0 < t < _REFERENCES} - {
    types_pb2.DT_RESOURCE,
    types_pb2.DT_VARIANT,
}
_PLAIN_RULE = "neither a resource nor a variant"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What an attribute of an op must be.

    Attributes:
        attribute: its name.
        says: the rule, to follow "must be".
        kind: the field of the AttrValue that holds it.
        values: the values that are allowed.
    """

    attribute: str
    says: str
    kind: str
    values: frozenset


# `PrintV2` also appends to files. Bytes of the model or of a request must not become a
# handle: they could name what another op made.
ATTRIBUTES = {
    "Const": Rule("dtype", _PLAIN_RULE, "type", frozenset(_PLAIN)),
    "DeserializeManySparse": Rule("dtype", _PLAIN_RULE, "type", frozenset(_PLAIN)),
    "DeserializeSparse": Rule("dtype", _PLAIN_RULE, "type", frozenset(_PLAIN)),
    "ParseTensor": Rule("out_type", _PLAIN_RULE, "type", frozenset(_PLAIN)),
    "PrintV2": Rule("output_stream", "stderr or a log", "s", _LOGS),
}
