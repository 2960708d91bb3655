// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// Softplus and inner products of many numbers, in loops of a constant length
// that compilers turn into vector instructions, for the widest that the CPU
// has. An element's result does not depend on its place in the array.
#ifndef TFREC_CC_OPS_CORE_VECTOR_MATH_H_
#define TFREC_CC_OPS_CORE_VECTOR_MATH_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// Compiles a function once more for each newer x86, and picks at load time.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define TFREC_VECTOR_CLONES \
  __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define TFREC_VECTOR_CLONES
#endif

namespace tfrec {

constexpr int64_t kLanes = 16;

// The size of an array that the functions below may write to its end.
inline int64_t RoundUpToLanes(int64_t size) {
  return (size + kLanes - 1) / kLanes * kLanes;
}

inline bool IsFinite(float value) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return (bits & kExponent) != kExponent;
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), within 1e-6 of it. Below
// -87, where float32's normal numbers end, it is 0 and not a denormal number,
// which a thread may or may not flush to 0. Without branches.
inline float SoftplusOf(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // Exact when times a small integer.
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kLowest = -87.0f;
  constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds.
  constexpr int32_t kToIntegerBits = 0x4b400000;
  constexpr int32_t kBias = 127;
  constexpr int32_t kMantissaBits = 23;

  // exp(y) = 2^n exp(r), y = -|x|, |r| <= log(2) / 2.
  const float magnitude = std::fabs(x);
  const float y = -(magnitude < -kLowest ? magnitude : -kLowest);
  const float shifted = y * kLog2E + kToInteger;
  const float n = shifted - kToInteger;
  const float r = (y - n * kLn2High) - n * kLn2Low;
  float exp_r = 1.0f / 5040;
  exp_r = exp_r * r + 1.0f / 720;
  exp_r = exp_r * r + 1.0f / 120;
  exp_r = exp_r * r + 1.0f / 24;
  exp_r = exp_r * r + 1.0f / 6;
  exp_r = exp_r * r + 1.0f / 2;
  exp_r = exp_r * r * r + r + 1.0f;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits - kToIntegerBits + kBias) * (1 << kMantissaBits);
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  const float u = x < kLowest ? 0.0f : exp_r * power;

  // log1p(u) = 2 atanh(z), z = u / (2 + u) <= 1/3. Not by way of z,
  // which is no normal number where u is just one.
  const float twice_z = u / (1.0f + 0.5f * u);
  const float zz = 0.25f * twice_z * twice_z;
  float series = 1.0f / 13;
  series = series * zz + 1.0f / 11;
  series = series * zz + 1.0f / 9;
  series = series * zz + 1.0f / 7;
  series = series * zz + 1.0f / 5;
  series = series * zz + 1.0f / 3;
  return (x > 0.0f ? x : 0.0f) + (series * zz * twice_z + twice_z);
}

// Softplus of each value, in place. `size` is a multiple of kLanes.
TFREC_VECTOR_CLONES
inline void Softplus(float* values, int64_t size) {
  for (int64_t begin = 0; begin < size; begin += kLanes) {
    float* block = values + begin;
    for (int64_t i = 0; i < kLanes; ++i) block[i] = SoftplusOf(block[i]);
  }
}

// sums[i] = value + addends[i]. Returns whether all sums are finite.
inline bool AddToEach(float value, const float* addends, int64_t size,
                      float* sums) {
  bool all_finite = true;
  int64_t begin = 0;
  for (; begin + kLanes <= size; begin += kLanes) {
    float* block = sums + begin;
    for (int64_t i = 0; i < kLanes; ++i) {
      block[i] = value + addends[begin + i];
      all_finite &= IsFinite(block[i]);
    }
  }
  for (; begin < size; ++begin) {
    sums[begin] = value + addends[begin];
    all_finite &= IsFinite(sums[begin]);
  }
  return all_finite;
}

// Asks for the memory of an array that is read soon. Inlined by force: GCC
// drops calls of a function that only prefetches, as without effect.
template <typename T>
__attribute__((always_inline)) inline void Prefetch(const T* array,
                                                    int64_t size) {
  constexpr int64_t kLine = 64 / sizeof(T);
  constexpr int64_t kMaxLines = 8;  // The CPU sees the sequence by then.
  const int64_t end = std::min(size, kMaxLines * kLine);
  for (int64_t i = 0; i < end; i += kLine) __builtin_prefetch(array + i);
}

// The inner products of one vector with the rows `ids` of a matrix.
TFREC_VECTOR_CLONES
inline void InnerProducts(const float* vector, const float* rows, int64_t width,
                          const int32_t* ids, int64_t num_ids,
                          float* products) {
  constexpr int64_t kAhead = 16;
  for (int64_t j = 0; j < num_ids; ++j) {
    const float* row = rows + ids[j] * width;
    Prefetch(rows + ids[std::min(j + kAhead, num_ids - 1)] * width, width);
    float sums[kLanes] = {};
    int64_t begin = 0;
    for (; begin + kLanes <= width; begin += kLanes) {
      for (int64_t i = 0; i < kLanes; ++i) {
        sums[i] += vector[begin + i] * row[begin + i];
      }
    }
    for (int64_t i = 0; begin + i < width; ++i) {
      sums[i] += vector[begin + i] * row[begin + i];
    }
    for (int64_t i = 0; i < 8; ++i) sums[i] += sums[i + 8];
    for (int64_t i = 0; i < 4; ++i) sums[i] += sums[i + 4];
    products[j] = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  }
}

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_VECTOR_MATH_H_
