// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// The item-to-item index of PDN and the vectors of its direct path. Li et al.
// 2021, sections 5.1 and 5.2.
#ifndef TFREC_CC_OPS_CORE_PATH_INDEX_H_
#define TFREC_CC_OPS_CORE_PATH_INDEX_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "cc_ops/core/status.h"
#include "cc_ops/core/vector_math.h"
#include "cc_ops/core/visited_insert.h"

namespace tfrec {

// Checks that elements begin to end - 1 of a row are finite numbers.
inline Status CheckFinite(const std::string& name, int64_t row,
                          const float* values, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    if (IsFinite(values[i])) continue;
    return Status::Invalid(name, "finite",
                           name + "[" + std::to_string(row) + ", " +
                               std::to_string(i) +
                               "]=" + std::to_string(values[i]));
  }
  return Status();
}

// For each item j a list of neighbours i with their similarities s_ji, at
// row_splits[j] .. row_splits[j + 1], in memory that somebody else owns. The
// number of entries may exceed 2^31 where Split is int64_t.
template <typename Split>
struct PathIndex {
  const int32_t* neighbours;
  const float* similarities;
  int64_t num_entries;
  const Split* row_splits;  // num_items + 1 of them
  int64_t num_items;
  const float* item_vectors;  // (num_items, width)
  int64_t width;              // 0: there is no direct path
  const bool* available;      // num_items of them; nullptr: all are available

  int64_t Begin(int64_t item) const { return row_splits[item]; }
  int64_t Size(int64_t item) const {
    return static_cast<int64_t>(row_splits[item + 1]) - row_splits[item];
  }
};

// Checks what can be checked without reading the whole index. O(1).
template <typename Split>
Status CheckPathIndex(const PathIndex<Split>& index) {
  if (index.num_items < 0) {
    return Status::Invalid("row_splits", "of at least 1 element",
                           "row_splits.shape=(0,)");
  }
  const int64_t first = index.row_splits[0];
  const int64_t last = index.row_splits[index.num_items];
  if (first != 0) {
    return Status::Invalid("row_splits", "0 at first",
                           "row_splits[0]=" + std::to_string(first));
  }
  if (last != index.num_entries) {
    return Status::Invalid("row_splits", "the number of neighbours at last",
                           "row_splits[-1]=" + std::to_string(last) +
                               ", neighbours.shape=(" +
                               std::to_string(index.num_entries) + ",)");
  }
  return Status();
}

inline Status CheckNumResults(int64_t k) {
  if (k >= 1) return Status();
  return Status::Invalid("k", "at least 1", "k=" + std::to_string(k));
}

// Checks where the list of one item begins and ends. O(1).
template <typename Split>
Status CheckOffsets(const PathIndex<Split>& index, int64_t item) {
  const int64_t begin = index.row_splits[item];
  const int64_t end = index.row_splits[item + 1];
  if (0 <= begin && begin <= end && end <= index.num_entries) return Status();
  return Status::Invalid(
      "row_splits",
      "ascending and in [0, " + std::to_string(index.num_entries) + "]",
      "row_splits[" + std::to_string(item) + "]=" + std::to_string(begin) +
          ", row_splits[" + std::to_string(item + 1) +
          "]=" + std::to_string(end));
}

// Checks the ids in the list of one item, whose offsets are right. O(list).
template <typename Split>
Status CheckNeighbourIds(const PathIndex<Split>& index, int64_t item) {
  const uint32_t limit = IdLimit(index.num_items);
  const auto is_wrong = [limit](int32_t id) {
    return static_cast<uint32_t>(id) >= limit;
  };
  const int32_t* begin = index.neighbours + index.Begin(item);
  const int32_t* end = begin + index.Size(item);
  if (!AnyId(begin, end - begin, is_wrong)) return Status();
  const int32_t* wrong = std::find_if(begin, end, is_wrong);
  return Status::Invalid(
      "neighbours", "in [0, " + std::to_string(index.num_items) + ")",
      "neighbours[" + std::to_string(wrong - index.neighbours) +
          "]=" + std::to_string(*wrong));
}

// What is wrong with the first similarity that has no finite sum with `weight`.
template <typename Split>
Status NotFinite(const PathIndex<Split>& index, int64_t item, float weight) {
  const float* begin = index.similarities + index.Begin(item);
  const float* wrong =
      std::find_if(begin, begin + index.Size(item),
                   [weight](float s) { return !IsFinite(weight + s); });
  return Status::Invalid(
      "similarities", "finite, as must their sums with the weights",
      "similarities[" + std::to_string(wrong - index.similarities) +
          "]=" + std::to_string(*wrong) + ", weight=" + std::to_string(weight));
}

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_PATH_INDEX_H_
