// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include "absl/status/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfrec {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// visited (B, W), ids (B, F) -> visited (B, W), is_new (B, F).
absl::Status VisitedInsertShape(InferenceContext* context) {
  ShapeHandle visited_bw;
  ShapeHandle ids_bf;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 2, &visited_bw));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 2, &ids_bf));
  DimensionHandle batch;
  TF_RETURN_IF_ERROR(context->Merge(context->Dim(visited_bw, 0),
                                    context->Dim(ids_bf, 0), &batch));
  context->set_output(0, context->Matrix(batch, context->Dim(visited_bw, 1)));
  context->set_output(1, context->Matrix(batch, context->Dim(ids_bf, 1)));
  return absl::OkStatus();
}

REGISTER_OP("Tfrec>VisitedInsert")
    .Input("visited: uint64")
    .Input("ids: int32")
    .Output("updated: uint64")
    .Output("is_new: bool")
    .SetShapeFn(VisitedInsertShape)
    .Doc(R"doc(
Keeps the first sighting of each id and marks it visited.

B is the number of users, W the words of a user's bitmap, F the number of ids.
Rows are independent. The bitmap is updated in place when nobody else holds its
buffer, and copied otherwise. InvalidArgumentError: an input is not rank 2, the
batch sizes differ, or an id is neither -1 nor in [0, 64 * W).

visited: [B, W]. Bit i % 64 of word i / 64 of row b: user b has seen item i.
ids: [B, F], in [0, 64 * W); -1 is padding, which is neither marked nor new.
updated: [B, W]. `visited` with the bits of `ids` set.
is_new: [B, F]. True where the id was not marked in `visited` and does not occur
        earlier in its row.
)doc");

}  // namespace
}  // namespace tfrec
