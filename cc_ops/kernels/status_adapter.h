// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
#ifndef TFREC_CC_OPS_KERNELS_STATUS_ADAPTER_H_
#define TFREC_CC_OPS_KERNELS_STATUS_ADAPTER_H_

#include <string>

#include "absl/status/status.h"
#include "cc_ops/core/status.h"
#include "tensorflow/core/framework/tensor.h"

namespace tfrec {

// The core's status as TensorFlow's.
inline absl::Status ToAbsl(const Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(status.message());
}

// Checks a rank; `letters` are the dimensions, "(B, F)".
inline Status CheckRank(const tensorflow::Tensor& tensor, int rank,
                        const std::string& name, const std::string& letters) {
  if (tensor.dims() == rank) return Status();
  return Status::Invalid(name, "rank " + std::to_string(rank) + " " + letters,
                         name + ".shape=" + tensor.shape().DebugString());
}

// Checks that two tensors have a row for each of the same users.
inline Status CheckSameBatch(const tensorflow::Tensor& visited,
                             const tensorflow::Tensor& other,
                             const std::string& name) {
  if (visited.dim_size(0) == other.dim_size(0)) return Status();
  return Status::Invalid(
      name, "of the batch size of `visited`",
      name + ".shape=" + other.shape().DebugString() +
          ", visited.shape=" + visited.shape().DebugString());
}

}  // namespace tfrec

#endif  // TFREC_CC_OPS_KERNELS_STATUS_ADAPTER_H_
