// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
#ifndef TFREC_CC_OPS_CORE_STATUS_H_
#define TFREC_CC_OPS_CORE_STATUS_H_

#include <string>

namespace tfrec {

// What a core function says about its arguments: fine, or what is wrong.
//
// The core knows neither TensorFlow nor Python, so it has a status of its own.
// kernels/status_adapter.h turns it into an absl::Status, pybind/core.cc into a
// ValueError. Every failure here is an invalid argument.
class Status {
 public:
  Status() = default;

  // The house's form of an error: "`thing` must be rule. Received: value".
  static Status Invalid(const std::string& thing, const std::string& rule,
                        const std::string& value) {
    Status status;
    status.message_ =
        "`" + thing + "` must be " + rule + ". Received: " + value;
    return status;
  }

  bool ok() const { return message_.empty(); }
  const std::string& message() const { return message_; }

 private:
  std::string message_;
};

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_STATUS_H_
