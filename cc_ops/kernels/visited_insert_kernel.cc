// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include <cstdint>

#include "cc_ops/core/visited_insert.h"
#include "cc_ops/kernels/batch.h"
#include "cc_ops/kernels/status_adapter.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfrec {
namespace {

// Test-and-set of each user's ids in the user's bitmap. Chen et al. 2022
// (NANN), section 4.1. O(F) a user, plus O(W) where the bitmap has to be
// copied. Users are spread over threads and share nothing: any number gives the
// same bytes.
class VisitedInsertOp : public tensorflow::OpKernel {
 public:
  using tensorflow::OpKernel::OpKernel;

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor& visited = context->input(0);
    const tensorflow::Tensor& ids = context->input(1);
    OP_REQUIRES_OK(context, ToAbsl(CheckRank(visited, 2, "visited", "(B, W)")));
    OP_REQUIRES_OK(context, ToAbsl(CheckRank(ids, 2, "ids", "(B, F)")));
    OP_REQUIRES_OK(context, ToAbsl(CheckSameBatch(visited, ids, "ids")));
    const int64_t num_ids = ids.dim_size(1);

    Bitmaps bitmaps;
    OP_REQUIRES_OK(context, bitmaps.Init(context, 0));
    tensorflow::Tensor* is_new = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(1, ids.shape(), &is_new));

    const int32_t* ids_data = ids.flat<int32_t>().data();
    bool* is_new_data = is_new->flat<bool>().data();
    const int64_t limit = bitmaps.num_words() * kBitsPerWord;
    const int64_t cost = bitmaps.num_words() + 4 * num_ids;
    // A row is checked before it is written to. That other rows may be written
    // to when one fails is not seen by anybody: a shared buffer was copied.
    const Status status =
        TryEachUser(context, ids.dim_size(0), cost, [&](int64_t user) {
          const int32_t* row = ids_data + user * num_ids;
          Status checked = CheckIds("ids", user, row, num_ids, limit);
          if (!checked.ok()) return checked;
          VisitedInsert(row, num_ids, bitmaps.Row(user),
                        is_new_data + user * num_ids);
          return checked;
        });
    OP_REQUIRES_OK(context, ToAbsl(status));
  }
};

REGISTER_KERNEL_BUILDER(
    Name("Tfrec>VisitedInsert").Device(tensorflow::DEVICE_CPU),
    VisitedInsertOp);

}  // namespace
}  // namespace tfrec
