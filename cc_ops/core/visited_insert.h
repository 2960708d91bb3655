// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// The set of visited nodes of a graph walk, as a bitmap: bit i of a user's row
// says that item i was seen. Chen et al. 2022 (NANN), section 4.1.
#ifndef TFREC_CC_OPS_CORE_VISITED_INSERT_H_
#define TFREC_CC_OPS_CORE_VISITED_INSERT_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "cc_ops/core/status.h"

namespace tfrec {

constexpr int64_t kBitsPerWord = 64;
constexpr int32_t kPaddingId = -1;

// Marks `id` and says whether it was unmarked before. `id` is in [0, 64 * W).
inline bool TestAndSet(int32_t id, uint64_t* words) {
  uint64_t& word = words[static_cast<uint32_t>(id) >> 6];
  const uint64_t bit = uint64_t{1} << (id & 63);
  const bool is_new = (word & bit) == 0;
  word |= bit;
  return is_new;
}

// The number of ids below `num_items` that an int32 can hold.
inline uint32_t IdLimit(int64_t num_items) {
  return static_cast<uint32_t>(std::min<int64_t>(num_items, int64_t{1} << 31));
}

// "name[row, column]=value".
inline std::string Element(const std::string& name, int64_t row, int64_t column,
                           int64_t value) {
  return name + "[" + std::to_string(row) + ", " + std::to_string(column) +
         "]=" + std::to_string(value);
}

// Says whether the predicate holds for any id.
//
// It reads all of them, in blocks of a constant length: that is what compilers
// turn into vector instructions, GCC's -O2 included.
template <typename Predicate>
bool AnyId(const int32_t* ids, int64_t size, const Predicate& predicate) {
  constexpr int64_t kBlock = 16;
  uint32_t any = 0;
  int64_t begin = 0;
  for (; begin + kBlock <= size; begin += kBlock) {
    for (int64_t i = 0; i < kBlock; ++i) {
      any |= predicate(ids[begin + i]) ? 1u : 0u;
    }
  }
  for (; begin < size; ++begin) any |= predicate(ids[begin]) ? 1u : 0u;
  return any != 0;
}

// Checks that each of a row's `size` ids is -1 or in [0, num_items).
//
// O(size). `row` and `name` serve the message.
inline Status CheckIds(const std::string& name, int64_t row, const int32_t* ids,
                       int64_t size, int64_t num_items) {
  // -1 becomes 0, the ids 1 to N, everything else more.
  const uint32_t limit = IdLimit(num_items);
  const auto is_wrong = [limit](int32_t id) {
    return static_cast<uint32_t>(id) + 1u > limit;
  };
  if (!AnyId(ids, size, is_wrong)) return Status();
  const int64_t first = std::find_if(ids, ids + size, is_wrong) - ids;
  return Status::Invalid(name,
                         "-1 or in [0, " + std::to_string(num_items) + ")",
                         Element(name, row, first, ids[first]));
}

// Marks one user's ids; is_new[i] says that ids[i] was not marked before and
// does not occur earlier in `ids`. Padding is never new.
//
// The ids have passed CheckIds against 64 * W. O(F). Rows of different users
// may run in different threads; nothing is shared.
inline void VisitedInsert(const int32_t* ids, int64_t num_ids,
                          uint64_t* visited, bool* is_new) {
  for (int64_t i = 0; i < num_ids; ++i) {
    is_new[i] = ids[i] != kPaddingId && TestAndSet(ids[i], visited);
  }
}

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_VISITED_INSERT_H_
