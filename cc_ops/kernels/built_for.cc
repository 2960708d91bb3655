// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// The TensorFlow that this library was compiled against. TensorFlow's C++ ABI
// holds for one minor version only, so tfrec/ops/_library.py looks for the text
// below in the file before it loads it: this works where the library itself
// would not load.
//
// TensorFlow's headers do not carry its version. Whoever compiles this file
// passes it: -DTFREC_TENSORFLOW_VERSION=2.21.0 (without quotes), which in
// Python is f"-DTFREC_TENSORFLOW_VERSION={tf.__version__}".

#ifndef TFREC_TENSORFLOW_VERSION
#error \
    "Compile with -DTFREC_TENSORFLOW_VERSION=<tf.__version__>, without quotes"
#endif

#define TFREC_STRINGIFY(text) #text
#define TFREC_EXPAND_AND_STRINGIFY(text) TFREC_STRINGIFY(text)

// Returns "tfrec is built for TensorFlow 2.21.0;".
extern "C" __attribute__((visibility("default"))) const char*
TfrecBuiltForTensorFlow() {
  return "tfrec is built for TensorFlow " TFREC_EXPAND_AND_STRINGIFY(
      TFREC_TENSORFLOW_VERSION) ";";
}
