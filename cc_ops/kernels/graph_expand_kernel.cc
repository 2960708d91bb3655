// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "cc_ops/core/graph_expand.h"
#include "cc_ops/kernels/batch.h"
#include "cc_ops/kernels/status_adapter.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfrec {
namespace {

// One user's fresh nodes, until all users' and so the output's width are known.
// The ids are left uninitialised: only the first `size` of them are read.
struct FreshNodes {
  std::unique_ptr<int32_t[]> ids;
  int64_t size = 0;
};

Status CheckShapes(tensorflow::OpKernelContext* context) {
  const tensorflow::Tensor& visited = context->input(0);
  const tensorflow::Tensor& frontier = context->input(1);
  Status status = CheckRank(visited, 2, "visited", "(B, W)");
  if (status.ok()) status = CheckRank(frontier, 2, "frontier", "(B, F)");
  if (status.ok()) status = CheckSameBatch(visited, frontier, "frontier");
  if (status.ok()) status = CheckRank(context->input(2), 1, "values", "(E,)");
  if (status.ok()) {
    status = CheckRank(context->input(3), 1, "row_splits", "(N + 1,)");
  }
  return status;
}

// The unvisited neighbours of each user's frontier. Chen et al. 2022 (NANN),
// Algorithm 2, section 4.1. O(F + neighbours) a user, plus O(W) where the
// bitmap has to be copied. Users are spread over threads and share nothing: any
// number gives the same bytes. One user's frontier is one thread's work, as it
// takes less time than waking the others would save.
template <typename Split>
class GraphExpandOp : public tensorflow::OpKernel {
 public:
  explicit GraphExpandOp(tensorflow::OpKernelConstruction* context)
      : tensorflow::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("bucket_sizes", &bucket_sizes_));
    OP_REQUIRES_OK(context, ToAbsl(CheckBucketSizes(bucket_sizes_)));
  }

  void Compute(tensorflow::OpKernelContext* context) override {
    OP_REQUIRES_OK(context, ToAbsl(CheckShapes(context)));
    const tensorflow::Tensor& values = context->input(2);
    const tensorflow::Tensor& row_splits = context->input(3);
    const Adjacency<Split> graph{
        values.flat<int32_t>().data(), values.NumElements(),
        row_splits.flat<Split>().data(), row_splits.NumElements() - 1};
    OP_REQUIRES_OK(
        context, ToAbsl(CheckAdjacency(graph, context->input(0).dim_size(1))));
    Bitmaps bitmaps;
    OP_REQUIRES_OK(context, bitmaps.Init(context, 0));
    std::vector<FreshNodes> fresh;
    OP_REQUIRES_OK(context, Expand(context, graph, bitmaps, &fresh));
    OP_REQUIRES_OK(context, WriteOutputs(context, fresh));
  }

 private:
  // A row is checked before it is written to. That other rows may be written to
  // when one fails is not seen by anybody: a shared buffer was copied.
  absl::Status Expand(tensorflow::OpKernelContext* context,
                      const Adjacency<Split>& graph, const Bitmaps& bitmaps,
                      std::vector<FreshNodes>* fresh) const {
    const tensorflow::Tensor& frontier = context->input(1);
    const int32_t* frontier_data = frontier.flat<int32_t>().data();
    const int64_t frontier_size = frontier.dim_size(1);
    fresh->resize(frontier.dim_size(0));
    const int64_t degree = graph.num_values / (graph.num_items + 1) + 1;
    const int64_t cost =
        bitmaps.num_words() + frontier_size * (100 + 5 * degree);
    return ToAbsl(
        TryEachUser(context, frontier.dim_size(0), cost, [&](int64_t user) {
          const int32_t* row = frontier_data + user * frontier_size;
          int64_t max_fresh = 0;
          Status status =
              CheckFrontier(graph, user, row, frontier_size, &max_fresh);
          if (!status.ok()) return status;
          FreshNodes& nodes = (*fresh)[user];
          nodes.ids.reset(new int32_t[max_fresh + 1]);
          nodes.size = GraphExpand(graph, row, frontier_size, bitmaps.Row(user),
                                   nodes.ids.get());
          return status;
        }));
  }

  absl::Status WriteOutputs(tensorflow::OpKernelContext* context,
                            const std::vector<FreshNodes>& fresh) const {
    const int64_t batch_size = fresh.size();
    int64_t longest = 0;
    for (const FreshNodes& nodes : fresh) {
      longest = std::max(longest, nodes.size);
    }
    const int64_t width = PaddedWidth(longest, bucket_sizes_);
    tensorflow::Tensor* fresh_bc = nullptr;
    tensorflow::Tensor* counts_b = nullptr;
    TF_RETURN_IF_ERROR(
        context->allocate_output(1, {batch_size, width}, &fresh_bc));
    TF_RETURN_IF_ERROR(context->allocate_output(2, {batch_size}, &counts_b));
    int32_t* fresh_data = fresh_bc->flat<int32_t>().data();
    int32_t* counts_data = counts_b->flat<int32_t>().data();
    ForEachUser(context, batch_size, width, [&](int64_t user) {
      const FreshNodes& nodes = fresh[user];
      int32_t* row = fresh_data + user * width;
      std::copy_n(nodes.ids.get(), nodes.size, row);
      std::fill(row + nodes.size, row + width, kPaddingId);
      counts_data[user] = static_cast<int32_t>(nodes.size);
    });
    return absl::OkStatus();
  }

  std::vector<int64_t> bucket_sizes_;
};

REGISTER_KERNEL_BUILDER(Name("Tfrec>GraphExpand")
                            .Device(tensorflow::DEVICE_CPU)
                            .TypeConstraint<int32_t>("Tsplits"),
                        GraphExpandOp<int32_t>);
REGISTER_KERNEL_BUILDER(Name("Tfrec>GraphExpand")
                            .Device(tensorflow::DEVICE_CPU)
                            .TypeConstraint<int64_t>("Tsplits"),
                        GraphExpandOp<int64_t>);

}  // namespace
}  // namespace tfrec
