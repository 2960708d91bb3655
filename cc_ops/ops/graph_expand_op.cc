// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cc_ops/core/graph_expand.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfrec {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Where both are known, W must cover N = length of row_splits - 1.
absl::Status CheckWords(InferenceContext* context, DimensionHandle num_words,
                        DimensionHandle num_splits) {
  if (!context->ValueKnown(num_splits)) return absl::OkStatus();
  const int64_t num_items = context->Value(num_splits) - 1;
  if (num_items < 0) {
    return absl::InvalidArgumentError(
        "`row_splits` must be of at least 1 element. Received: "
        "row_splits.shape=(0,)");
  }
  if (!context->ValueKnown(num_words)) return absl::OkStatus();
  const int64_t words = context->Value(num_words);
  if (words < (num_items + kBitsPerWord - 1) / kBitsPerWord) {
    return absl::InvalidArgumentError(
        absl::StrCat("`visited` must be of at least ceil(N / 64) words. "
                     "Received: W=",
                     words, ", N=", num_items));
  }
  return absl::OkStatus();
}

// visited (B, W), frontier (B, F), values (E,), row_splits (N + 1,)
// -> visited (B, W), fresh (B, C), counts (B,). C depends on the data.
absl::Status GraphExpandShape(InferenceContext* context) {
  ShapeHandle visited_bw;
  ShapeHandle frontier_bf;
  ShapeHandle values_e;
  ShapeHandle row_splits;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 2, &visited_bw));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 2, &frontier_bf));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(2), 1, &values_e));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(3), 1, &row_splits));
  DimensionHandle batch;
  TF_RETURN_IF_ERROR(context->Merge(context->Dim(visited_bw, 0),
                                    context->Dim(frontier_bf, 0), &batch));
  const DimensionHandle num_words = context->Dim(visited_bw, 1);
  TF_RETURN_IF_ERROR(
      CheckWords(context, num_words, context->Dim(row_splits, 0)));

  std::vector<int64_t> bucket_sizes;
  TF_RETURN_IF_ERROR(context->GetAttr("bucket_sizes", &bucket_sizes));
  const Status sizes = CheckBucketSizes(bucket_sizes);
  if (!sizes.ok()) return absl::InvalidArgumentError(sizes.message());

  context->set_output(0, context->Matrix(batch, num_words));
  context->set_output(1, context->Matrix(batch, InferenceContext::kUnknownDim));
  context->set_output(2, context->Vector(batch));
  return absl::OkStatus();
}

REGISTER_OP("Tfrec>GraphExpand")
    .Attr("Tsplits: {int32, int64}")
    .Attr("bucket_sizes: list(int) = []")
    .Input("visited: uint64")
    .Input("frontier: int32")
    .Input("values: int32")
    .Input("row_splits: Tsplits")
    .Output("updated: uint64")
    .Output("fresh: int32")
    .Output("counts: int32")
    .SetShapeFn(GraphExpandShape)
    .Doc(R"doc(
Collects the neighbours of a frontier that were not visited, and marks them.

B is the number of users, W the words of a user's bitmap, F the frontier's size,
N the number of nodes, E of edges. Rows are independent; the order is that of
the frontier, then of the adjacency list, and the first occurrence of a node
wins. The frontier itself is not marked. The bitmap is updated in place when
nobody else holds its buffer, and copied otherwise. Only the lists of the
frontier's nodes are read, and only they are checked. InvalidArgumentError: a
wrong rank, batch sizes that differ, W < ceil(N / 64), an id outside [0, N),
row_splits that do not begin with 0, end with E, or descend where they are read.

visited: [B, W]. Bit i % 64 of word i / 64 of row b: user b has seen node i.
frontier: [B, F], in [0, N); -1 is padding.
values: [E], in [0, N). The adjacency lists, one after the other.
row_splits: [N + 1]. The list of node i is values[row_splits[i]:row_splits[i+1]].
bucket_sizes: Positive and ascending. C is the first that holds the longest row,
              above the largest one a multiple of it; without any, C is the
              longest row itself.
updated: [B, W]. `visited` with the bits of `fresh` set.
fresh: [B, C]. The new nodes of each user, then -1.
counts: [B]. The number of new nodes of each user.
)doc");

}  // namespace
}  // namespace tfrec
