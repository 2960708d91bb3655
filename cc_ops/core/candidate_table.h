// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// A hash table from item ids to small numbers, and the best of many keys: the
// two data structures of a search whose results are few among many items.
#ifndef TFREC_CC_OPS_CORE_CANDIDATE_TABLE_H_
#define TFREC_CC_OPS_CORE_CANDIDATE_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

namespace tfrec {

// Maps ids >= 0 to numbers. Open addressing at a load of at most a half: its
// memory goes with the ids of one search, not with the number of items, so that
// it stays in the cache. The memory is kept from one search to the next.
class CandidateTable {
 public:
  // Empties the table and makes room for `num_ids` different ids. O(num_ids).
  void Reset(int64_t num_ids) {
    shift_ = 63;
    while ((int64_t{1} << (64 - shift_)) < 2 * num_ids) --shift_;
    const size_t size = size_t{1} << (64 - shift_);
    if (slots_.size() < size) slots_.resize(size);
    std::fill_n(slots_.begin(), size, Slot{kEmpty, kEmpty});
    mask_ = size - 1;
  }

  // The number of `id`, which becomes `number` if the id is new.
  //
  // New ids are as likely as known ones: nothing here branches on that.
  int32_t FindOrAdd(int32_t id, int32_t number) {
    constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;
    size_t i = (static_cast<uint64_t>(id) * kGoldenRatio) >> shift_;
    Slot slot = slots_[i];
    while (IsOther(slot.id, id)) slot = slots_[i = (i + 1) & mask_];
    slot = Slot{id, slot.id == id ? slot.number : number};
    slots_[i] = slot;
    return slot.number;
  }

 private:
  static constexpr int32_t kEmpty = -1;
  struct Slot {
    int32_t id;
    int32_t number;
  };

  // Whether a slot holds another id: one branch where two comparisons are two,
  // of which each is as likely as not.
  static bool IsOther(int32_t slot, int32_t id) {
    const uint64_t is_not_empty = static_cast<uint32_t>(slot ^ kEmpty);
    return is_not_empty * static_cast<uint32_t>(slot ^ id) != 0;
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 63;
};

// A key that sorts by score, and at equal scores by the smaller id. The score
// is at least 0: then its bits ascend with it. No key is 0.
inline uint64_t ScoreKey(float score, int32_t id) {
  uint32_t bits;
  std::memcpy(&bits, &score, sizeof(bits));
  return uint64_t{bits} << 32 | (UINT32_MAX - static_cast<uint32_t>(id));
}

inline float ScoreOfKey(uint64_t key) {
  const uint32_t bits = static_cast<uint32_t>(key >> 32);
  float score;
  std::memcpy(&score, &bits, sizeof(score));
  return score;
}

inline int32_t IdOfKey(uint64_t key) {
  return static_cast<int32_t>(UINT32_MAX - static_cast<uint32_t>(key));
}

// Collects keys and keeps the largest. Most of many keys are below the k-th
// largest so far, which takes one comparison to see. O(keys + k log k).
class LargestKeys {
 public:
  void Reset(int64_t k) {
    k_ = k;
    threshold_ = 0;
    keys_.clear();
  }

  void Add(uint64_t key) {
    if (key <= threshold_) return;
    keys_.push_back(key);
    if (static_cast<int64_t>(keys_.size()) / kSlack >= k_) Prune();
  }

  // The k largest keys, or all where they are fewer, the largest first.
  const std::vector<uint64_t>& Sort() {
    if (static_cast<int64_t>(keys_.size()) > k_) Prune();
    std::sort(keys_.begin(), keys_.end(), std::greater<uint64_t>());
    return keys_;
  }

 private:
  static constexpr int64_t kSlack = 4;

  void Prune() {
    std::nth_element(keys_.begin(), keys_.begin() + (k_ - 1), keys_.end(),
                     std::greater<uint64_t>());
    keys_.resize(k_);
    threshold_ = keys_.back();
  }

  int64_t k_ = 1;
  uint64_t threshold_ = 0;
  std::vector<uint64_t> keys_;
};

}  // namespace tfrec

#endif  // TFREC_CC_OPS_CORE_CANDIDATE_TABLE_H_
