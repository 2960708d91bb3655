// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// One step of a graph walk: the neighbours of the frontier that were not seen
// yet. Chen et al. 2022 (NANN), Algorithm 2 and section 4.1.
#ifndef TFREC_CC_OPS_CORE_GRAPH_EXPAND_H_
#define TFREC_CC_OPS_CORE_GRAPH_EXPAND_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cc_ops/core/status.h"
#include "cc_ops/core/visited_insert.h"

namespace tfrec {

// A level's adjacency lists, in memory that somebody else owns: the neighbours
// of node i are values[row_splits[i] .. row_splits[i + 1]).
template <typename Split>
struct Adjacency {
  const int32_t* values;
  int64_t num_values;
  const Split* row_splits;  // num_items + 1 of them
  int64_t num_items;
};

// Checks what can be checked without reading the whole graph. O(1).
template <typename Split>
Status CheckAdjacency(const Adjacency<Split>& graph, int64_t num_words) {
  if (graph.num_items < 0) {
    return Status::Invalid("row_splits", "of at least 1 element",
                           "row_splits.shape=(0,)");
  }
  const int64_t first = graph.row_splits[0];
  const int64_t last = graph.row_splits[graph.num_items];
  if (first != 0) {
    return Status::Invalid("row_splits", "0 at first",
                           "row_splits[0]=" + std::to_string(first));
  }
  if (last != graph.num_values) {
    return Status::Invalid("row_splits", "the number of values at last",
                           "row_splits[-1]=" + std::to_string(last) +
                               ", values.shape=(" +
                               std::to_string(graph.num_values) + ",)");
  }
  if (num_words < (graph.num_items + kBitsPerWord - 1) / kBitsPerWord) {
    return Status::Invalid("visited", "of at least ceil(N / 64) words",
                           "W=" + std::to_string(num_words) +
                               ", N=" + std::to_string(graph.num_items));
  }
  return Status();
}

// Checks the list of one node: where it begins and ends, and what is in it.
template <typename Split>
Status CheckNeighbours(const Adjacency<Split>& graph, int64_t node) {
  const int64_t begin = graph.row_splits[node];
  const int64_t end = graph.row_splits[node + 1];
  if (begin < 0 || end < begin || end > graph.num_values) {
    return Status::Invalid(
        "row_splits",
        "ascending and in [0, " + std::to_string(graph.num_values) + "]",
        "row_splits[" + std::to_string(node) + "]=" + std::to_string(begin) +
            ", row_splits[" + std::to_string(node + 1) +
            "]=" + std::to_string(end));
  }
  const uint32_t limit = IdLimit(graph.num_items);
  const auto is_wrong = [limit](int32_t id) {
    return static_cast<uint32_t>(id) >= limit;
  };
  if (!AnyId(graph.values + begin, end - begin, is_wrong)) return Status();
  const int32_t* wrong =
      std::find_if(graph.values + begin, graph.values + end, is_wrong);
  return Status::Invalid("values",
                         "in [0, " + std::to_string(graph.num_items) + ")",
                         "values[" + std::to_string(wrong - graph.values) +
                             "]=" + std::to_string(*wrong));
}

// Asks for the memory of lists that are read a few nodes later.
//
// The lists lie anywhere in a graph that is larger than the caches, so that an
// expansion is little else than waiting for memory. `node` is a valid id or
// padding; its offsets are not checked yet, hence the integer arithmetic:
// prefetching an address that does not exist does nothing. Inlined by force:
// GCC drops calls of a function that only prefetches, as without effect.
template <typename Split>
__attribute__((always_inline)) inline void PrefetchOffsets(
    const Adjacency<Split>& graph, int64_t node) {
  if (node != kPaddingId) __builtin_prefetch(graph.row_splits + node);
}

template <typename Split>
__attribute__((always_inline)) inline void PrefetchList(
    const Adjacency<Split>& graph, int64_t node) {
  if (node == kPaddingId) return;
  constexpr uintptr_t kCacheLine = 64;
  constexpr uintptr_t kMaxLines = 5;
  const uintptr_t begin = static_cast<uintptr_t>(graph.row_splits[node]);
  const uintptr_t end = static_cast<uintptr_t>(graph.row_splits[node + 1]);
  const uintptr_t base = reinterpret_cast<uintptr_t>(graph.values);
  const uintptr_t first = base + begin * sizeof(int32_t);
  const uintptr_t last =
      std::min(base + end * sizeof(int32_t), first + kMaxLines * kCacheLine);
  for (uintptr_t line = first; line < last; line += kCacheLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(line));
  }
}

// Checks everything that expanding one user's frontier will read, and nothing
// else of the graph. `max_fresh` is a bound on the number of fresh nodes.
//
// The adjacency has passed CheckAdjacency. O(F + neighbours).
template <typename Split>
Status CheckFrontier(const Adjacency<Split>& graph, int64_t row,
                     const int32_t* frontier, int64_t frontier_size,
                     int64_t* max_fresh) {
  Status status =
      CheckIds("frontier", row, frontier, frontier_size, graph.num_items);
  if (!status.ok()) return status;
  constexpr int64_t kListsAhead = 8;
  constexpr int64_t kOffsetsAhead = 16;
  int64_t num_neighbours = 0;
  for (int64_t i = 0; i < frontier_size; ++i) {
    if (i + kOffsetsAhead < frontier_size) {
      PrefetchOffsets(graph, frontier[i + kOffsetsAhead]);
      PrefetchList(graph, frontier[i + kListsAhead]);
    }
    const int64_t node = frontier[i];
    if (node == kPaddingId) continue;
    status = CheckNeighbours(graph, node);
    if (!status.ok()) return status;
    num_neighbours += graph.row_splits[node + 1] - graph.row_splits[node];
  }
  *max_fresh = std::min(num_neighbours, graph.num_items);
  return Status();
}

// Writes the unmarked neighbours of one user's frontier to `fresh`, in frontier
// order, the first occurrence of each, and marks them. Returns their number.
//
// The frontier has passed CheckFrontier; `fresh` holds max_fresh + 1 ids (a
// write that does not count is cheaper than a branch that is often missed).
// O(F + neighbours). Users may run in different threads; nothing is shared.
template <typename Split>
int64_t GraphExpand(const Adjacency<Split>& graph, const int32_t* frontier,
                    int64_t frontier_size, uint64_t* visited, int32_t* fresh) {
  int64_t num_fresh = 0;
  for (int64_t i = 0; i < frontier_size; ++i) {
    const int64_t node = frontier[i];
    if (node == kPaddingId) continue;
    const int64_t end = graph.row_splits[node + 1];
    for (int64_t j = graph.row_splits[node]; j < end; ++j) {
      const int32_t neighbour = graph.values[j];
      fresh[num_fresh] = neighbour;
      num_fresh += TestAndSet(neighbour, visited) ? 1 : 0;
    }
  }
  return num_fresh;
}

// Checks that bucket sizes are positive and ascending; none at all is fine.
inline Status CheckBucketSizes(const std::vector<int64_t>& bucket_sizes) {
  int64_t previous = 0;
  for (const int64_t size : bucket_sizes) {
    if (size <= previous) {
      return Status::Invalid(
          "bucket_sizes", "positive and strictly ascending",
          std::to_string(size) + " after " + std::to_string(previous));
    }
    previous = size;
  }
  return Status();
}

// The width to pad to: the first bucket that holds `count`, above the largest
// one a multiple of it, and `count` itself when there are no buckets.
inline int64_t PaddedWidth(int64_t count,
                           const std::vector<int64_t>& bucket_sizes) {
  if (bucket_sizes.empty()) return count;
  const auto bucket =
      std::lower_bound(bucket_sizes.begin(), bucket_sizes.end(), count);
  if (bucket != bucket_sizes.end()) return *bucket;
  const int64_t largest = bucket_sizes.back();
  return (count + largest - 1) / largest * largest;
}

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_GRAPH_EXPAND_H_
