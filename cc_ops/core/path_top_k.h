// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// Retrieval along two-hop paths, from the user over triggers to items. Li et
// al. 2021 (PDN), section 5.1 and eq. 14.
#ifndef TFREC_CC_OPS_CORE_PATH_TOP_K_H_
#define TFREC_CC_OPS_CORE_PATH_TOP_K_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cc_ops/core/candidate_table.h"
#include "cc_ops/core/path_index.h"
#include "cc_ops/core/status.h"
#include "cc_ops/core/vector_math.h"
#include "cc_ops/core/visited_insert.h"

namespace tfrec {

// One user: row `row` of the batch, which serves the messages.
struct PathQuery {
  int64_t row;
  const int32_t* triggers;
  const float* weights;
  int64_t num_triggers;
  const int32_t* excluded;
  int64_t num_excluded;
  const float* user_vector;
};

// Where one user's results go: k ids and scores, k times num_paths paths.
struct PathResults {
  int64_t k;
  int64_t num_paths;
  int32_t* ids;
  float* scores;
  int32_t* path_triggers;
  float* path_contributions;
};

// Scores the items in the lists of a user's triggers, and returns the best.
//
// Eq. 14: softplus(user . item) plus softplus(weight + similarity) of each path
// to the item, added up in the order of the triggers, then of their lists, so
// that a user's results depend on nothing but the user and the index. O(paths +
// candidates * D + K log K), and P for each path that is among the best P of
// its item so far; the memory, O(paths + K * P), is kept for the next search:
// have one object a thread.
class PathTopK {
 public:
  // The index has passed CheckPathIndex, and k >= 1. Everything else is checked
  // here, before it is used; what a failure leaves in the results is undefined.
  template <typename Split>
  Status Search(const PathIndex<Split>& index, const PathQuery& query,
                const PathResults& results) {
    Status status = CheckQuery(index, query);
    if (status.ok()) status = AddPaths(index, query);
    if (status.ok()) status = AddDirectPaths(index, query);
    if (!status.ok()) return status;
    const int64_t num_results = WriteBest(results);
    if (results.num_paths > 0) WritePaths(index, query, num_results, results);
    return status;
  }

 private:
  // Candidate 0 takes the paths to all items that are left out.
  static constexpr int32_t kLeftOut = 0;

  template <typename Split>
  Status CheckQuery(const PathIndex<Split>& index, const PathQuery& query) {
    Status status = CheckIds("triggers", query.row, query.triggers,
                             query.num_triggers, index.num_items);
    if (!status.ok()) return status;
    status = CheckIds("excluded", query.row, query.excluded, query.num_excluded,
                      index.num_items);
    if (!status.ok()) return status;
    status = CheckFinite("user_vectors", query.row, query.user_vector, 0,
                         index.width);
    num_entries_ = 0;
    for (int64_t i = 0; status.ok() && i < query.num_triggers; ++i) {
      const int32_t trigger = query.triggers[i];
      if (trigger == kPaddingId) continue;
      status = CheckFinite("weights", query.row, query.weights, i, i + 1);
      if (status.ok()) status = CheckOffsets(index, trigger);
      if (!status.ok()) return status;
      num_entries_ += index.Size(trigger);
      if (num_entries_ > std::numeric_limits<int32_t>::max()) {
        return Status::Invalid("triggers",
                               "of lists with less than 2^31 entries in all",
                               "row " + std::to_string(query.row));
      }
    }
    return status;
  }

  // Finds the candidates, and adds up the paths to each.
  template <typename Split>
  Status AddPaths(const PathIndex<Split>& index, const PathQuery& query) {
    const int64_t max_candidates = std::min(num_entries_, index.num_items);
    table_.Reset(max_candidates +
                 std::min(query.num_excluded, index.num_items));
    for (int64_t i = 0; i < query.num_excluded; ++i) {
      const int32_t id = query.excluded[i];
      if (id != kPaddingId) table_.FindOrAdd(id, kLeftOut);
    }
    Grow(num_entries_ + kLanes, &contributions_);
    Grow(num_entries_, &candidates_);
    // One more, for what is written before it is known to be new.
    Grow(max_candidates + 2, &ids_);
    Grow(max_candidates + 2, &scores_);
    Grow(max_candidates + kLanes, &directs_);
    ids_[kLeftOut] = kPaddingId;
    scores_[kLeftOut] = 0.0f;
    num_candidates_ = 1;
    int64_t entry = 0;
    for (int64_t i = 0; i < query.num_triggers; ++i) {
      if (query.triggers[i] == kPaddingId) continue;
      if (i + 1 < query.num_triggers) Prefetch(index, query.triggers[i + 1]);
      const Status status = AddList(index, query, i, entry);
      if (!status.ok()) return status;
      entry += index.Size(query.triggers[i]);
    }
    return Status();
  }

  // Asks for the list that comes next. Inlined by force, as tfrec::Prefetch is.
  template <typename Split>
  __attribute__((always_inline)) static void Prefetch(
      const PathIndex<Split>& index, int32_t trigger) {
    if (trigger == kPaddingId) return;
    const int64_t begin = index.Begin(trigger);
    tfrec::Prefetch(index.neighbours + begin, index.Size(trigger));
    tfrec::Prefetch(index.similarities + begin, index.Size(trigger));
  }

  // Adds the list of the i-th trigger, whose first entry is number `begin`.
  template <typename Split>
  Status AddList(const PathIndex<Split>& index, const PathQuery& query,
                 int64_t i, int64_t begin) {
    const int32_t trigger = query.triggers[i];
    const int64_t size = index.Size(trigger);
    const int32_t* neighbours = index.neighbours + index.Begin(trigger);
    const Status status = CheckNeighbourIds(index, trigger);
    if (!status.ok()) return status;
    // The next list overwrites what Softplus does behind the end of this one.
    float* contributions = contributions_.data() + begin;
    if (!AddToEach(query.weights[i], index.similarities + index.Begin(trigger),
                   size, contributions)) {
      return NotFinite(index, trigger, query.weights[i]);
    }
    Softplus(contributions, RoundUpToLanes(size));
    AddEntries(index, neighbours, contributions, size,
               candidates_.data() + begin);
    return status;
  }

  // Adds contributions to the scores of their items, of which some are new.
  //
  // Without branches: each item is written behind the last candidate, and what
  // is written there counts if the item is new.
  template <typename Split>
  void AddEntries(const PathIndex<Split>& index, const int32_t* neighbours,
                  const float* contributions, int64_t size,
                  int32_t* candidates) {
    int32_t* ids = ids_.data();
    float* scores = scores_.data();
    int32_t end = num_candidates_;
    for (int64_t j = 0; j < size; ++j) {
      const int32_t id = neighbours[j];
      const bool is_available =
          index.available == nullptr || index.available[id];
      const int32_t candidate =
          table_.FindOrAdd(id, is_available ? end : kLeftOut);
      ids[end] = id;
      scores[end] = 0.0f;
      scores[candidate] += contributions[j];
      candidates[j] = candidate;
      end += candidate == end;
    }
    num_candidates_ = end;
  }

  // Adds softplus(user . item), unless the vectors are of width 0.
  template <typename Split>
  Status AddDirectPaths(const PathIndex<Split>& index, const PathQuery& query) {
    if (index.width == 0) return Status();
    InnerProducts(query.user_vector, index.item_vectors, index.width,
                  ids_.data() + 1, num_candidates_ - 1, directs_.data() + 1);
    for (int64_t i = 1; i < num_candidates_; ++i) {
      if (IsFinite(directs_[i])) continue;
      return Status::Invalid(
          "item_vectors", "finite, as must their products with user_vectors",
          "item_vectors[" + std::to_string(ids_[i]) + "] times row " +
              std::to_string(query.row) + "=" + std::to_string(directs_[i]));
    }
    Softplus(directs_.data(), RoundUpToLanes(num_candidates_));
    for (int64_t i = 1; i < num_candidates_; ++i) scores_[i] += directs_[i];
    return Status();
  }

  // Returns the number of results.
  int64_t WriteBest(const PathResults& results) {
    best_.Reset(results.k);
    for (int64_t i = 1; i < num_candidates_; ++i) {
      best_.Add(ScoreKey(scores_[i], ids_[i]));
    }
    int64_t rank = 0;
    for (const uint64_t key : best_.Sort()) {
      results.ids[rank] = IdOfKey(key);
      results.scores[rank++] = ScoreOfKey(key);
    }
    std::fill(results.ids + rank, results.ids + results.k, kPaddingId);
    std::fill(results.scores + rank, results.scores + results.k,
              -std::numeric_limits<float>::infinity());
    return rank;
  }

  // Goes through the entries again, for the paths to the results.
  template <typename Split>
  void WritePaths(const PathIndex<Split>& index, const PathQuery& query,
                  int64_t num_results, const PathResults& results) {
    // A row for each result, and one that no path gets into, for other items.
    const int64_t width = std::min(results.num_paths, num_entries_);
    paths_.assign(num_results * width, 0);
    paths_.resize((num_results + 1) * width, UINT64_MAX);
    ranks_.assign(num_candidates_, static_cast<int32_t>(num_results));
    for (int64_t rank = 0; rank < num_results; ++rank) {
      ranks_[table_.FindOrAdd(results.ids[rank], kLeftOut)] =
          static_cast<int32_t>(rank);
    }
    int64_t entry = 0;
    for (int64_t i = 0; i < query.num_triggers; ++i) {
      const int32_t trigger = query.triggers[i];
      if (trigger == kPaddingId) continue;
      const int64_t end = entry + index.Size(trigger);
      for (; entry < end; ++entry) {
        InsertKey(ScoreKey(contributions_[entry], trigger), width,
                  paths_.data() + ranks_[candidates_[entry]] * width);
      }
    }
    const int64_t size = results.k * results.num_paths;
    std::fill_n(results.path_triggers, size, kPaddingId);
    std::fill_n(results.path_contributions, size, 0.0f);
    for (int64_t rank = 0; rank < num_results; ++rank) {
      for (int64_t i = 0; i < width; ++i) {
        const uint64_t key = paths_[rank * width + i];
        if (key == 0) break;
        const int64_t place = rank * results.num_paths + i;
        results.path_triggers[place] = IdOfKey(key);
        results.path_contributions[place] = ScoreOfKey(key);
      }
    }
  }

  // Puts a key in its place among keys that descend; the smallest gives way.
  static void InsertKey(uint64_t key, int64_t size, uint64_t* keys) {
    if (key <= keys[size - 1]) return;
    for (int64_t i = 0; i < size; ++i) {
      const uint64_t larger = std::max(keys[i], key);
      key = std::min(keys[i], key);
      keys[i] = larger;
    }
  }

  // A vector's memory is kept, and what it holds is not set.
  template <typename T>
  static void Grow(int64_t size, std::vector<T>* values) {
    if (static_cast<int64_t>(values->size()) < size) values->resize(size);
  }

  int64_t num_entries_ = 0;
  int32_t num_candidates_ = 0;        // with candidate 0
  std::vector<float> contributions_;  // of each entry
  std::vector<int32_t> candidates_;   // the candidate of each entry
  CandidateTable table_;              // the candidate of each id
  std::vector<int32_t> ids_;          // of each candidate
  std::vector<float> scores_;         // of each candidate
  std::vector<float> directs_;        // of each candidate
  std::vector<int32_t> ranks_;        // of each candidate, behind all for none
  std::vector<uint64_t> paths_;       // keys of the best paths of each result
  LargestKeys best_;
};

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_PATH_TOP_K_H_
