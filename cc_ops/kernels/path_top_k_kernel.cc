// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cc_ops/core/path_index.h"
#include "cc_ops/core/path_top_k.h"
#include "cc_ops/kernels/batch.h"
#include "cc_ops/kernels/status_adapter.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfrec {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// The inputs, by their place in the op's signature.
enum Input {
  kTriggers,
  kWeights,
  kNeighbours,
  kSimilarities,
  kRowSplits,
  kUserVectors,
  kItemVectors,
  kExcluded,
  kAvailable,
  kNumResults
};

Status CheckRanks(OpKernelContext* context) {
  struct Rule {
    int rank;
    const char* name;
    const char* letters;
  };
  constexpr Rule kRules[] = {
      {2, "triggers", "(B, M)"},     {2, "weights", "(B, M)"},
      {1, "neighbours", "(E,)"},     {1, "similarities", "(E,)"},
      {1, "row_splits", "(N + 1,)"}, {2, "user_vectors", "(B, D)"},
      {2, "item_vectors", "(N, D)"}, {2, "excluded", "(B, S)"},
      {1, "available", "(N,)"},      {0, "k", "()"}};
  for (int i = 0; i <= kNumResults; ++i) {
    const Rule& rule = kRules[i];
    const Status status =
        CheckRank(context->input(i), rule.rank, rule.name, rule.letters);
    if (!status.ok()) return status;
  }
  return Status();
}

// Checks that dimension `dim` of a tensor is `size`, which is `rule`.
Status CheckSize(const Tensor& tensor, int dim, int64_t size,
                 const std::string& name, const std::string& rule) {
  if (tensor.dim_size(dim) == size) return Status();
  return Status::Invalid(name, rule,
                         name + ".shape=" + tensor.shape().DebugString() +
                             ", not " + std::to_string(size) +
                             " in dimension " + std::to_string(dim));
}

// Checks the sizes that the inputs share; their ranks are right.
Status CheckSizes(OpKernelContext* context) {
  const Tensor& triggers = context->input(kTriggers);
  const int64_t batch_size = triggers.dim_size(0);
  const int64_t num_items = context->input(kRowSplits).NumElements() - 1;
  const std::string batch = "of the batch size of `triggers`";
  const std::string items = "of a row for each of the N items";
  Status status =
      CheckSize(context->input(kWeights), 0, batch_size, "weights", batch);
  if (status.ok()) {
    status = CheckSize(context->input(kWeights), 1, triggers.dim_size(1),
                       "weights", "of the shape of `triggers`");
  }
  if (status.ok()) {
    status = CheckSize(context->input(kSimilarities), 0,
                       context->input(kNeighbours).NumElements(),
                       "similarities", "of the shape of `neighbours`");
  }
  if (status.ok()) {
    status = CheckSize(context->input(kUserVectors), 0, batch_size,
                       "user_vectors", batch);
  }
  if (status.ok()) {
    status = CheckSize(context->input(kItemVectors), 1,
                       context->input(kUserVectors).dim_size(1), "item_vectors",
                       "of the width of `user_vectors`");
  }
  if (status.ok()) {
    status =
        CheckSize(context->input(kExcluded), 0, batch_size, "excluded", batch);
  }
  // Without row_splits there is no N: CheckPathIndex says that.
  if (!status.ok() || num_items < 0) return status;
  status = CheckSize(context->input(kItemVectors), 0, num_items, "item_vectors",
                     items);
  if (status.ok() && context->input(kAvailable).NumElements() > 0) {
    status =
        CheckSize(context->input(kAvailable), 0, num_items, "available", items);
  }
  return status;
}

template <typename Split>
PathIndex<Split> GetIndex(OpKernelContext* context) {
  const Tensor& available = context->input(kAvailable);
  return {
      context->input(kNeighbours).flat<int32_t>().data(),
      context->input(kSimilarities).flat<float>().data(),
      context->input(kNeighbours).NumElements(),
      context->input(kRowSplits).flat<Split>().data(),
      context->input(kRowSplits).NumElements() - 1,
      context->input(kItemVectors).flat<float>().data(),
      context->input(kItemVectors).dim_size(1),
      available.NumElements() > 0 ? available.flat<bool>().data() : nullptr};
}

PathQuery GetQuery(OpKernelContext* context, int64_t user) {
  const int64_t num_triggers = context->input(kTriggers).dim_size(1);
  const int64_t num_excluded = context->input(kExcluded).dim_size(1);
  const int64_t width = context->input(kUserVectors).dim_size(1);
  return {
      user,
      context->input(kTriggers).flat<int32_t>().data() + user * num_triggers,
      context->input(kWeights).flat<float>().data() + user * num_triggers,
      num_triggers,
      context->input(kExcluded).flat<int32_t>().data() + user * num_excluded,
      num_excluded,
      context->input(kUserVectors).flat<float>().data() + user * width};
}

// The outputs of all users, and each user's part of them.
class Outputs {
 public:
  absl::Status Init(OpKernelContext* context, int64_t k, int64_t num_paths) {
    k_ = k;
    num_paths_ = num_paths;
    const int64_t batch_size = context->input(kTriggers).dim_size(0);
    // Not an initialiser list: TensorShape dies of sizes that overflow.
    TensorShape shape;
    TF_RETURN_IF_ERROR(TensorShape::BuildTensorShape(
        std::vector<int64_t>{batch_size, k}, &shape));
    TF_RETURN_IF_ERROR(context->allocate_output(0, shape, &ids_));
    TF_RETURN_IF_ERROR(context->allocate_output(1, shape, &scores_));
    TF_RETURN_IF_ERROR(shape.AddDimWithStatus(num_paths));
    TF_RETURN_IF_ERROR(context->allocate_output(2, shape, &triggers_));
    return context->allocate_output(3, shape, &contributions_);
  }

  PathResults Of(int64_t user) const {
    const int64_t first_path = user * k_ * num_paths_;
    return {k_,
            num_paths_,
            ids_->flat<int32_t>().data() + user * k_,
            scores_->flat<float>().data() + user * k_,
            triggers_->flat<int32_t>().data() + first_path,
            contributions_->flat<float>().data() + first_path};
  }

 private:
  int64_t k_ = 0;
  int64_t num_paths_ = 0;
  Tensor* ids_ = nullptr;
  Tensor* scores_ = nullptr;
  Tensor* triggers_ = nullptr;
  Tensor* contributions_ = nullptr;
};

// Searches that are not in use, with the memory that their last user needed.
class SearchPool {
 public:
  std::unique_ptr<PathTopK> Take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<PathTopK>();
    std::unique_ptr<PathTopK> search = std::move(free_.back());
    free_.pop_back();
    return search;
  }

  void Return(std::unique_ptr<PathTopK> search) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(search));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PathTopK>> free_;
};

// The best items over two-hop paths. Li et al. 2021 (PDN), eq. 14. Users are
// spread over threads and share nothing that they write to: any number of
// threads gives the same bytes.
template <typename Split>
class PathTopKOp : public tensorflow::OpKernel {
 public:
  explicit PathTopKOp(tensorflow::OpKernelConstruction* context)
      : tensorflow::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_paths", &num_paths_));
  }

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, ToAbsl(CheckRanks(context)));
    OP_REQUIRES_OK(context, ToAbsl(CheckSizes(context)));
    const PathIndex<Split> index = GetIndex<Split>(context);
    OP_REQUIRES_OK(context, ToAbsl(CheckPathIndex(index)));
    const int64_t k = context->input(kNumResults).scalar<int32_t>()();
    OP_REQUIRES_OK(context, ToAbsl(CheckNumResults(k)));
    Outputs outputs;
    OP_REQUIRES_OK(context, outputs.Init(context, k, num_paths_));
    const Tensor& triggers = context->input(kTriggers);
    const int64_t degree = index.num_entries / (index.num_items + 1) + 1;
    const int64_t cost =
        triggers.dim_size(1) * degree * (20 + 2 * index.width) +
        k * (20 + num_paths_);
    const Status status =
        TryEachUser(context, triggers.dim_size(0), cost, [&](int64_t user) {
          std::unique_ptr<PathTopK> search = searches_.Take();
          Status found =
              search->Search(index, GetQuery(context, user), outputs.Of(user));
          searches_.Return(std::move(search));
          return found;
        });
    OP_REQUIRES_OK(context, ToAbsl(status));
  }

 private:
  int64_t num_paths_ = 0;
  SearchPool searches_;
};

REGISTER_KERNEL_BUILDER(Name("Tfrec>PathTopK")
                            .Device(tensorflow::DEVICE_CPU)
                            .TypeConstraint<int32_t>("Tsplits"),
                        PathTopKOp<int32_t>);
REGISTER_KERNEL_BUILDER(Name("Tfrec>PathTopK")
                            .Device(tensorflow::DEVICE_CPU)
                            .TypeConstraint<int64_t>("Tsplits"),
                        PathTopKOp<int64_t>);

}  // namespace
}  // namespace tfrec
