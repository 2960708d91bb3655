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
// candidates * D + K log K + K * P); the memory, O(paths), is kept for the next
// search: have one object a thread.
class PathTopK {
 public:
  // The index has passed CheckPathIndex, and k >= 1. Everything else is checked
  // here, before it is used; what a failure leaves in the results is undefined.
  template <typename Split>
  Status Search(const PathIndex<Split>& index, const PathQuery& query,
                const PathResults& results) {
    Status status = CheckQuery(index, query);
    if (status.ok()) status = ReadLists(index, query);
    if (!status.ok()) return status;
    AddPaths(index, query);
    status = AddDirectPaths(index, query);
    if (!status.ok()) return status;
    WriteBest(results);
    if (results.num_paths > 0) WritePaths(index, query, results);
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

  // Checks the lists, and sets contributions_ to that of each entry.
  template <typename Split>
  Status ReadLists(const PathIndex<Split>& index, const PathQuery& query) {
    const int64_t size = RoundUpToLanes(num_entries_);
    contributions_.resize(size);
    float* sums = contributions_.data();
    std::fill(sums + num_entries_, sums + size, 0.0f);
    for (int64_t i = 0; i < query.num_triggers; ++i) {
      const int32_t trigger = query.triggers[i];
      if (trigger == kPaddingId) continue;
      const Status status = CheckNeighbourIds(index, trigger);
      if (!status.ok()) return status;
      const float* similarities = index.similarities + index.Begin(trigger);
      const int64_t list_size = index.Size(trigger);
      if (!AddToEach(query.weights[i], similarities, list_size, sums)) {
        return NotFinite(index, trigger, query.weights[i]);
      }
      sums += list_size;
    }
    Softplus(contributions_.data(), size);
    return Status();
  }

  // Finds the candidates, and adds up the paths to each.
  template <typename Split>
  void AddPaths(const PathIndex<Split>& index, const PathQuery& query) {
    table_.Reset(std::min(num_entries_, index.num_items) +
                 std::min(query.num_excluded, index.num_items));
    for (int64_t i = 0; i < query.num_excluded; ++i) {
      const int32_t id = query.excluded[i];
      if (id != kPaddingId) *table_.Find(id) = kLeftOut;
    }
    ids_.assign(1, kPaddingId);
    scores_.assign(1, 0.0f);
    candidates_.resize(num_entries_);
    int64_t entry = 0;
    for (int64_t i = 0; i < query.num_triggers; ++i) {
      const int32_t trigger = query.triggers[i];
      if (trigger == kPaddingId) continue;
      const int32_t* neighbours = index.neighbours + index.Begin(trigger);
      const int64_t list_size = index.Size(trigger);
      for (int64_t j = 0; j < list_size; ++j, ++entry) {
        const int32_t id = neighbours[j];
        int32_t* candidate = table_.Find(id);
        if (*candidate < 0) *candidate = NewCandidate(index, id);
        candidates_[entry] = *candidate;
        scores_[*candidate] += contributions_[entry];
      }
    }
  }

  template <typename Split>
  int32_t NewCandidate(const PathIndex<Split>& index, int32_t id) {
    if (index.available != nullptr && !index.available[id]) return kLeftOut;
    ids_.push_back(id);
    scores_.push_back(0.0f);
    return static_cast<int32_t>(ids_.size()) - 1;
  }

  // Adds softplus(user . item), unless the vectors are of width 0.
  template <typename Split>
  Status AddDirectPaths(const PathIndex<Split>& index, const PathQuery& query) {
    if (index.width == 0) return Status();
    const int64_t num_candidates = static_cast<int64_t>(ids_.size()) - 1;
    const int64_t size = RoundUpToLanes(num_candidates);
    directs_.resize(size);
    std::fill(directs_.begin() + num_candidates, directs_.end(), 0.0f);
    InnerProducts(query.user_vector, index.item_vectors, index.width,
                  ids_.data() + 1, num_candidates, directs_.data());
    for (int64_t i = 0; i < num_candidates; ++i) {
      if (IsFinite(directs_[i])) continue;
      return Status::Invalid(
          "item_vectors", "finite, as must their products with user_vectors",
          "item_vectors[" + std::to_string(ids_[i + 1]) + "] times row " +
              std::to_string(query.row) + "=" + std::to_string(directs_[i]));
    }
    Softplus(directs_.data(), size);
    for (int64_t i = 0; i < num_candidates; ++i) scores_[i + 1] += directs_[i];
    return Status();
  }

  void WriteBest(const PathResults& results) {
    best_.Reset(results.k);
    for (size_t i = 1; i < ids_.size(); ++i) {
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
  }

  // Goes through the entries again, for the paths to the results.
  template <typename Split>
  void WritePaths(const PathIndex<Split>& index, const PathQuery& query,
                  const PathResults& results) {
    const int64_t size = results.k * results.num_paths;
    std::fill_n(results.path_triggers, size, kPaddingId);
    std::fill_n(results.path_contributions, size, 0.0f);
    constexpr int32_t kNoRank = -1;
    ranks_.assign(ids_.size(), kNoRank);
    for (int64_t rank = 0; rank < results.k; ++rank) {
      const int32_t id = results.ids[rank];
      if (id == kPaddingId) break;
      ranks_[*table_.Find(id)] = static_cast<int32_t>(rank);
    }
    int64_t entry = 0;
    for (int64_t i = 0; i < query.num_triggers; ++i) {
      const int32_t trigger = query.triggers[i];
      if (trigger == kPaddingId) continue;
      const int64_t end = entry + index.Size(trigger);
      for (; entry < end; ++entry) {
        const int32_t rank = ranks_[candidates_[entry]];
        if (rank == kNoRank) continue;
        InsertPath(trigger, contributions_[entry], results.num_paths,
                   results.path_triggers + rank * results.num_paths,
                   results.path_contributions + rank * results.num_paths);
      }
    }
  }

  // Puts a path in its place among the `num_paths` best of one result.
  static void InsertPath(int32_t trigger, float contribution, int64_t num_paths,
                         int32_t* triggers, float* contributions) {
    const auto comes_before = [&](int64_t i) {
      if (triggers[i] == kPaddingId) return true;
      if (contribution != contributions[i]) {
        return contribution > contributions[i];
      }
      return trigger < triggers[i];
    };
    int64_t place = num_paths;
    while (place > 0 && comes_before(place - 1)) {
      if (place < num_paths) {
        triggers[place] = triggers[place - 1];
        contributions[place] = contributions[place - 1];
      }
      --place;
    }
    if (place == num_paths) return;
    triggers[place] = trigger;
    contributions[place] = contribution;
  }

  int64_t num_entries_ = 0;
  std::vector<float> contributions_;  // of each entry
  std::vector<int32_t> candidates_;   // the candidate of each entry
  CandidateTable table_;              // the candidate of each id
  std::vector<int32_t> ids_;          // of each candidate
  std::vector<float> scores_;         // of each candidate
  std::vector<float> directs_;        // of each candidate but the first
  std::vector<int32_t> ranks_;        // of each candidate, -1 where it has none
  LargestKeys best_;
};

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_PATH_TOP_K_H_
