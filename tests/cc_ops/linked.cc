// A binary that links the ops in, as a model server does, knows them at its
// start: nothing here names one of their symbols.

#include <cstdio>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/framework/op_kernel.h"

int main() {
  int num_missing = 0;
  for (const char* name :
       {"Tfrec>VisitedInsert", "Tfrec>GraphExpand", "Tfrec>PathTopK"}) {
    const tensorflow::OpDef* op = nullptr;
    const absl::Status found =
        tensorflow::OpRegistry::Global()->LookUpOpDef(name, &op);
    const bool has_kernel =
        tensorflow::GetRegisteredKernelsForOp(name).kernel_size() > 0;
    std::printf("%s: op %s, kernel %s\n", name, found.ok() ? "yes" : "no",
                has_kernel ? "yes" : "no");
    num_missing += !found.ok() + !has_kernel;
  }
  return num_missing;
}
