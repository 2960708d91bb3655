// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/tensor.h"

namespace tfrec {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// What must have N rows, N = length of row_splits - 1, where both are known.
absl::Status CheckNumItems(InferenceContext* context, DimensionHandle num_rows,
                           const char* name) {
  const DimensionHandle num_splits = context->Dim(context->input(4), 0);
  if (!context->ValueKnown(num_splits)) return absl::OkStatus();
  const int64_t num_items = context->Value(num_splits) - 1;
  if (num_items < 0) {
    return absl::InvalidArgumentError(
        "`row_splits` must be of at least 1 element. Received: "
        "row_splits.shape=(0,)");
  }
  if (!context->ValueKnown(num_rows) || context->Value(num_rows) == num_items) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "`", name, "` must be of a row for each of the N items. ",
      "Received: ", context->Value(num_rows), " rows, N=", num_items));
}

absl::Status CheckAvailable(InferenceContext* context, ShapeHandle available) {
  const DimensionHandle size = context->Dim(available, 0);
  if (context->ValueKnown(size) && context->Value(size) == 0) {
    return absl::OkStatus();
  }
  return CheckNumItems(context, size, "available");
}

// K, where the graph knows it.
absl::Status NumResults(InferenceContext* context, DimensionHandle* k) {
  ShapeHandle scalar;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(9), 0, &scalar));
  *k = context->UnknownDim();
  const tensorflow::Tensor* value = context->input_tensor(9);
  if (value == nullptr) return absl::OkStatus();
  const int32_t num_results = value->scalar<int32_t>()();
  if (num_results < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("`k` must be at least 1. Received: ", num_results));
  }
  *k = context->MakeDim(num_results);
  return absl::OkStatus();
}

// triggers (B, M), weights (B, M), neighbours (E,), similarities (E,),
// row_splits (N + 1,), user_vectors (B, D), item_vectors (N, D), excluded
// (B, S), available (N,) or (0,), k () -> (B, K), (B, K), (B, K, P), (B, K, P).
absl::Status PathTopKShape(InferenceContext* context) {
  constexpr int kRanks[] = {2, 2, 1, 1, 1, 2, 2, 2, 1};
  ShapeHandle shapes[9];
  for (int i = 0; i < 9; ++i) {
    TF_RETURN_IF_ERROR(
        context->WithRank(context->input(i), kRanks[i], &shapes[i]));
  }
  ShapeHandle merged;
  TF_RETURN_IF_ERROR(context->Merge(shapes[0], shapes[1], &merged));
  DimensionHandle batch = context->Dim(merged, 0);
  for (const int i : {5, 7}) {
    TF_RETURN_IF_ERROR(
        context->Merge(batch, context->Dim(shapes[i], 0), &batch));
  }
  TF_RETURN_IF_ERROR(context->Merge(shapes[2], shapes[3], &merged));
  DimensionHandle width;
  TF_RETURN_IF_ERROR(context->Merge(context->Dim(shapes[5], 1),
                                    context->Dim(shapes[6], 1), &width));
  TF_RETURN_IF_ERROR(
      CheckNumItems(context, context->Dim(shapes[6], 0), "item_vectors"));
  TF_RETURN_IF_ERROR(CheckAvailable(context, shapes[8]));
  DimensionHandle k;
  TF_RETURN_IF_ERROR(NumResults(context, &k));
  int64_t num_paths = 0;
  TF_RETURN_IF_ERROR(context->GetAttr("num_paths", &num_paths));
  const ShapeHandle paths =
      context->MakeShape({batch, k, context->MakeDim(num_paths)});
  context->set_output(0, context->Matrix(batch, k));
  context->set_output(1, context->Matrix(batch, k));
  context->set_output(2, paths);
  context->set_output(3, paths);
  return absl::OkStatus();
}

REGISTER_OP("Tfrec>PathTopK")
    .Attr("Tsplits: {int32, int64}")
    .Attr("num_paths: int >= 0 = 0")
    .Input("triggers: int32")
    .Input("weights: float")
    .Input("neighbours: int32")
    .Input("similarities: float")
    .Input("row_splits: Tsplits")
    .Input("user_vectors: float")
    .Input("item_vectors: float")
    .Input("excluded: int32")
    .Input("available: bool")
    .Input("k: int32")
    .Output("ids: int32")
    .Output("scores: float")
    .Output("path_triggers: int32")
    .Output("path_contributions: float")
    .SetShapeFn(PathTopKShape)
    .Doc(R"doc(
Retrieves the best items over two-hop paths from users over triggers to items.

B is the number of users, M of triggers, N of items, E of entries in the lists,
D the width of the vectors, S the number of items to leave out. The candidates
are the items in the lists of the user's triggers. The score of item i is

  softplus(user_vectors[b] . item_vectors[i])
    + sum over triggers j and entries i of j's list of softplus(t_bj + s_ji)

without the first term where D is 0. A trigger that stands twice in a row counts
each time, as does an item that stands twice in a list. At equal scores the
smaller id comes first. Rows are independent. Only what a call reads of the
index, weights and vectors is checked. InvalidArgumentError: a wrong rank, sizes
that differ, an id outside [0, N), k < 1, row_splits that do not begin with 0,
end with E, or descend where they are read, lists of one user with 2^31 entries
in all, or a number that is not finite: a weight, a similarity or its sum with
the weight, a user vector, a product of two vectors.

triggers: [B, M], in [0, N); -1 is padding.
weights: [B, M]. The first hops t_bj.
neighbours: [E], in [0, N). The items' lists, one after the other.
similarities: [E]. The second hops s_ji.
row_splits: [N + 1]. Item j's list is neighbours[row_splits[j]:row_splits[j+1]].
user_vectors: [B, D]. D = 0: there is no direct path.
item_vectors: [N, D].
excluded: [B, S], in [0, N); -1 is padding. Not returned to this user.
available: [N] or [0]. Items that may be returned; [0] stands for all.
k: At least 1. The number of results K.
num_paths: P, the number of paths to return with each result.
ids: [B, K]. The best first, then -1.
scores: [B, K]. Their scores, then -inf.
path_triggers: [B, K, P]. The triggers of the paths that contribute the most to
               the result, the largest first, at equal contributions the
               smaller id, then -1.
path_contributions: [B, K, P]. Their softplus(t_bj + s_ji), then 0.
)doc");

}  // namespace
}  // namespace tfrec
