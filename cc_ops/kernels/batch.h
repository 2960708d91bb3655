// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
#ifndef TFREC_CC_OPS_KERNELS_BATCH_H_
#define TFREC_CC_OPS_KERNELS_BATCH_H_

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "cc_ops/core/status.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tfrec {

// Calls fn(user) for each user, in slices on TensorFlow's own thread pool.
//
// `cost` is a user's work in CPU cycles, by which TensorFlow cuts the slices.
template <typename Fn>
void ForEachUser(tensorflow::OpKernelContext* context, int64_t batch_size,
                 int64_t cost, const Fn& fn) {
  const auto& threads = *context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(threads.num_threads, threads.workers, batch_size, cost,
                    [&fn](int64_t begin, int64_t end) {
                      for (int64_t user = begin; user < end; ++user) fn(user);
                    });
}

// The same for an fn that returns a Status; returns that of the first user who
// failed, so that the message does not depend on the threads.
template <typename Fn>
Status TryEachUser(tensorflow::OpKernelContext* context, int64_t batch_size,
                   int64_t cost, const Fn& fn) {
  std::vector<Status> statuses(batch_size);
  ForEachUser(context, batch_size, cost,
              [&](int64_t user) { statuses[user] = fn(user); });
  for (Status& status : statuses) {
    if (!status.ok()) return std::move(status);
  }
  return Status();
}

// The bitmaps an op reads and the ones it returns. They are one buffer when
// nobody else holds the input, which is the case all along a walk.
class Bitmaps {
 public:
  absl::Status Init(tensorflow::OpKernelContext* context, int index) {
    const tensorflow::Tensor& input = context->input(index);
    from_ = input.flat<uint64_t>().data();
    num_words_ = input.dim_size(1);
    tensorflow::Tensor* output = nullptr;
    TF_RETURN_IF_ERROR(context->forward_input_or_allocate_output(
        {index}, index, input.shape(), &output));
    to_ = output->flat<uint64_t>().data();
    return absl::OkStatus();
  }

  int64_t num_words() const { return num_words_; }

  // A user's bitmap to write to, with what the input holds. Called once a user.
  uint64_t* Row(int64_t user) const {
    uint64_t* row = to_ + user * num_words_;
    if (to_ != from_ && num_words_ > 0) {
      std::memcpy(row, from_ + user * num_words_, num_words_ * sizeof(*row));
    }
    return row;
  }

 private:
  const uint64_t* from_ = nullptr;
  uint64_t* to_ = nullptr;
  int64_t num_words_ = 0;
};

}  // namespace tfrec

#endif  // TFREC_CC_OPS_KERNELS_BATCH_H_
