// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// Random calls of the core under the sanitizers: malformed ones must be refused
// without a read or write out of bounds, valid ones must agree with std::set.
// Every array is a heap block of its exact size, so that one step too far is
// seen. Usage: core_fuzz NUM_MALFORMED SEED

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cc_ops/core/graph_expand.h"
#include "cc_ops/core/status.h"
#include "cc_ops/core/visited_insert.h"

namespace tfrec {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // In [low, high], both included.
  int64_t Int(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }

  template <typename T>
  T Choice(const std::vector<T>& values) {
    return values[Int(0, static_cast<int64_t>(values.size()) - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

void Expect(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "core_fuzz: %s\n", what.c_str());
  std::exit(1);
}

// A heap block of exactly the vector's size: a vector may have spare capacity.
template <typename T>
std::unique_ptr<T[]> Exact(const std::vector<T>& values) {
  std::unique_ptr<T[]> block(new T[values.size()]);
  std::copy(values.begin(), values.end(), block.get());
  return block;
}

int32_t WrongId(Random* random, int64_t limit, bool padding) {
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> ids = {static_cast<int32_t>(limit),
                              static_cast<int32_t>(limit + 1),
                              -2,
                              kMin,
                              kMin + 1,
                              kMax - 1,
                              kMax};
  if (!padding) ids.push_back(-1);
  return random->Choice(ids);
}

// A bitmap as words, and as the set of its bits.
struct Bitmap {
  std::vector<uint64_t> words;
  std::set<int32_t> items;

  Bitmap(Random* random, int64_t num_words) : words(num_words, 0) {
    for (int32_t i = 0; i < num_words * kBitsPerWord; ++i) {
      if (random->Int(0, 3) != 0) continue;
      words[i / kBitsPerWord] |= uint64_t{1} << (i % kBitsPerWord);
      items.insert(i);
    }
  }

  void ExpectWords(const uint64_t* actual) const {
    std::vector<uint64_t> expected(words.size(), 0);
    for (const int32_t i : items) {
      expected[i / kBitsPerWord] |= uint64_t{1} << (i % kBitsPerWord);
    }
    Expect(std::equal(expected.begin(), expected.end(), actual), "the bitmap");
  }
};

void FuzzVisitedInsert(Random* random, bool malformed) {
  const int64_t num_words = random->Int(0, 3);
  const int64_t limit = num_words * kBitsPerWord;
  std::vector<int32_t> ids(random->Int(malformed ? 1 : 0, 40));
  for (int32_t& id : ids) id = static_cast<int32_t>(random->Int(-1, limit - 1));
  const int64_t num_ids = ids.size();
  if (malformed) {
    ids[random->Int(0, num_ids - 1)] = WrongId(random, limit, true);
  }
  const auto exact_ids = Exact(ids);
  const Status status = CheckIds("ids", 7, exact_ids.get(), num_ids, limit);
  Expect(status.ok() == !malformed, "ids: " + status.message());
  if (malformed) return;

  Bitmap bitmap(random, num_words);
  const auto words = Exact(bitmap.words);
  std::unique_ptr<bool[]> is_new(new bool[num_ids]);
  VisitedInsert(exact_ids.get(), num_ids, words.get(), is_new.get());
  for (int64_t i = 0; i < num_ids; ++i) {
    const bool expected = ids[i] != -1 && bitmap.items.insert(ids[i]).second;
    Expect(is_new[i] == expected, "is_new");
  }
  bitmap.ExpectWords(words.get());
}

// A graph and a frontier whose last node has neighbours.
template <typename Split>
struct Case {
  std::vector<Split> row_splits = {0};
  std::vector<int32_t> values;
  std::vector<int32_t> frontier;
  int64_t num_words;
  int64_t num_items;

  explicit Case(Random* random) : num_items(random->Int(1, 200)) {
    for (int64_t i = 0; i < num_items; ++i) {
      row_splits.push_back(row_splits.back() + random->Int(i == 0 ? 1 : 0, 5));
    }
    values.resize(row_splits.back());
    for (int32_t& value : values) {
      value = static_cast<int32_t>(random->Int(0, num_items - 1));
    }
    frontier.resize(random->Int(0, 40));
    for (int32_t& node : frontier) {
      node = static_cast<int32_t>(random->Int(-1, num_items - 1));
    }
    frontier.push_back(0);
    num_words = (num_items + kBitsPerWord - 1) / kBitsPerWord;
  }

  // Breaks one rule.
  void Spoil(Random* random) {
    constexpr Split kMin = std::numeric_limits<Split>::min();
    constexpr Split kMax = std::numeric_limits<Split>::max();
    const Split num_values = row_splits.back();
    switch (random->Int(0, 7)) {
      case 0:
        frontier[random->Int(0, frontier.size() - 1)] =
            WrongId(random, num_items, true);
        return;
      case 1:
        values[random->Int(0, row_splits[1] - 1)] =
            WrongId(random, num_items, false);
        return;
      case 2:
        row_splits[0] = random->Choice<Split>({1, -1, kMin, kMax});
        return;
      case 3:
        row_splits.back() = random->Choice<Split>(
            {-1, num_values - 1, num_values + 1, kMin, kMax});
        return;
      case 4:  // The end of list 0; its own case where that is the last split.
        row_splits[1] = random->Choice<Split>({-1, num_values + 1, kMin, kMax});
        return;
      case 5:  // Node N - 1 is read; its list begins behind its end.
        frontier.push_back(static_cast<int32_t>(num_items - 1));
        row_splits[num_items - 1] =
            random->Choice<Split>({-1, num_values + 1, kMin, kMax});
        return;
      case 6:
        num_words = random->Int(0, num_words - 1);
        return;
      default:
        row_splits.clear();
        num_items = -1;
    }
  }
};

template <typename Split>
void FuzzGraphExpand(Random* random, bool malformed) {
  Case<Split> c(random);
  if (malformed) c.Spoil(random);
  const auto values = Exact(c.values);
  const auto row_splits = Exact(c.row_splits);
  const auto frontier = Exact(c.frontier);
  const int64_t size = c.frontier.size();
  const Adjacency<Split> graph{values.get(),
                               static_cast<int64_t>(c.values.size()),
                               row_splits.get(), c.num_items};
  int64_t max_fresh = 0;
  Status status = CheckAdjacency(graph, c.num_words);
  if (status.ok()) {
    status = CheckFrontier(graph, 7, frontier.get(), size, &max_fresh);
  }
  Expect(status.ok() == !malformed, "graph: " + status.message());
  if (malformed) return;

  Bitmap bitmap(random, c.num_words);
  const auto words = Exact(bitmap.words);
  std::unique_ptr<int32_t[]> fresh(new int32_t[max_fresh + 1]);
  const int64_t num_fresh =
      GraphExpand(graph, frontier.get(), size, words.get(), fresh.get());
  std::vector<int32_t> expected;
  for (const int32_t node : c.frontier) {
    if (node == -1) continue;
    for (Split j = c.row_splits[node]; j < c.row_splits[node + 1]; ++j) {
      if (bitmap.items.insert(c.values[j]).second) {
        expected.push_back(c.values[j]);
      }
    }
  }
  Expect(std::vector<int32_t>(fresh.get(), fresh.get() + num_fresh) == expected,
         "the fresh nodes");
  bitmap.ExpectWords(words.get());
}

void FuzzBuckets(Random* random, bool malformed) {
  std::vector<int64_t> sizes;
  for (int64_t i = random->Int(malformed ? 1 : 0, 5); i > 0; --i) {
    sizes.push_back((sizes.empty() ? 0 : sizes.back()) + random->Int(1, 20));
  }
  if (malformed) {
    const int64_t before = sizes.size() > 1 ? sizes[sizes.size() - 2] : 0;
    sizes.back() = random->Choice<int64_t>({0, -1, before, -before, INT64_MIN});
  }
  const Status status = CheckBucketSizes(sizes);
  Expect(status.ok() == !malformed, "buckets: " + status.message());
  if (malformed) return;

  const int64_t count = random->Int(0, 300);
  int64_t expected = count;
  if (!sizes.empty()) {
    const auto is_allowed = [&sizes](int64_t width) {
      return std::count(sizes.begin(), sizes.end(), width) > 0 ||
             (width > sizes.back() && width % sizes.back() == 0);
    };
    while (!is_allowed(expected)) ++expected;
  }
  Expect(PaddedWidth(count, sizes) == expected, "the padded width");
}

void Run(int64_t num_malformed, uint64_t seed) {
  Random random(seed);
  for (int64_t i = 0; i < num_malformed; ++i) {
    for (const bool malformed : {true, false}) {
      FuzzVisitedInsert(&random, malformed);
      FuzzGraphExpand<int32_t>(&random, malformed);
      FuzzGraphExpand<int64_t>(&random, malformed);
      FuzzBuckets(&random, malformed);
    }
  }
  std::printf("core_fuzz: %lld malformed and as many valid inputs of each\n",
              static_cast<long long>(num_malformed));
}

}  // namespace
}  // namespace tfrec

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: core_fuzz NUM_MALFORMED SEED\n");
    return 2;
  }
  tfrec::Run(std::atoll(argv[1]), std::atoll(argv[2]));
  return 0;
}
