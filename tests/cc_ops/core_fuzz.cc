// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// Random calls of the core under the sanitizers: malformed ones must be refused
// without a read or write out of bounds, valid ones must agree with std::set.
// Every array is a heap block of its exact size, so that one step too far is
// seen. Usage: core_fuzz NUM_MALFORMED SEED

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cc_ops/core/graph_expand.h"
#include "cc_ops/core/path_index.h"
#include "cc_ops/core/path_top_k.h"
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

// One user's search over an index, whose first trigger has paths.
template <typename Split>
struct PathCase {
  std::vector<Split> row_splits = {0};
  std::vector<int32_t> neighbours;
  std::vector<float> similarities;
  std::vector<float> item_vectors;
  std::vector<int32_t> triggers;
  std::vector<float> weights;
  std::vector<int32_t> excluded;
  std::vector<float> user_vector;
  std::unique_ptr<bool[]> available;
  int64_t num_items;
  int64_t width;
  int64_t k;
  int64_t num_paths;

  explicit PathCase(Random* random)
      : num_items(random->Int(1, 60)),
        width(random->Int(0, 40)),
        k(random->Int(1, 20)),
        num_paths(random->Int(0, 4)) {
    for (int64_t i = 0; i < num_items; ++i) {
      row_splits.push_back(row_splits.back() + random->Int(i == 0 ? 1 : 0, 20));
    }
    neighbours = Ids(random, row_splits.back(), 0);
    similarities = Floats(random, row_splits.back());
    item_vectors = Floats(random, num_items * width);
    triggers = Ids(random, random->Int(0, 8), -1);
    triggers.push_back(0);
    weights = Floats(random, triggers.size());
    excluded = Ids(random, random->Int(1, 5), -1);
    user_vector = Floats(random, width);
    if (random->Int(0, 1) == 0) return;
    available.reset(new bool[num_items]);
    for (int64_t i = 0; i < num_items; ++i) {
      available[i] = random->Int(0, 4) != 0;
    }
  }

  std::vector<int32_t> Ids(Random* random, int64_t size, int64_t lowest) {
    std::vector<int32_t> ids(size);
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(random->Int(lowest, num_items - 1));
    }
    return ids;
  }

  std::vector<float> Floats(Random* random, int64_t size) {
    std::vector<float> values(size);
    for (float& value : values) value = random->Int(-1000, 1000) / 500.0f;
    return values;
  }

  // Breaks one rule.
  void Spoil(Random* random) {
    constexpr Split kMin = std::numeric_limits<Split>::min();
    constexpr Split kMax = std::numeric_limits<Split>::max();
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const Split num_entries = row_splits.back();
    const float wrong = random->Choice<float>({kInfinity, -kInfinity, NAN});
    switch (random->Int(0, 9)) {
      case 0:
        triggers[random->Int(0, triggers.size() - 1)] =
            WrongId(random, num_items, true);
        return;
      case 1:
        excluded[random->Int(0, excluded.size() - 1)] =
            WrongId(random, num_items, true);
        return;
      case 2:
        neighbours[random->Int(0, row_splits[1] - 1)] =
            WrongId(random, num_items, false);
        return;
      case 3:
        row_splits[0] = random->Choice<Split>({1, -1, kMin, kMax});
        return;
      case 4:
        row_splits.back() = random->Choice<Split>(
            {-1, num_entries - 1, num_entries + 1, kMin, kMax});
        return;
      case 5:  // The end of list 0; its own case where that is the last split.
        row_splits[1] =
            random->Choice<Split>({-1, num_entries + 1, kMin, kMax});
        return;
      case 6:
        weights.back() = wrong;
        return;
      case 7:
        similarities[random->Int(0, row_splits[1] - 1)] = wrong;
        return;
      case 8:
        if (width > 0) {
          user_vector[random->Int(0, width - 1)] = wrong;
          return;
        }
        [[fallthrough]];
      default:
        row_splits.clear();
        num_items = -1;
    }
  }

  // (-score, id) of the candidates, the best first.
  std::vector<std::pair<double, int32_t>> Expected() const {
    std::map<int32_t, double> scores;
    for (size_t i = 0; i < triggers.size(); ++i) {
      if (triggers[i] == -1) continue;
      for (Split e = row_splits[triggers[i]]; e < row_splits[triggers[i] + 1];
           ++e) {
        scores[neighbours[e]] += Softplus64(weights[i] + similarities[e]);
      }
    }
    std::vector<std::pair<double, int32_t>> best;
    for (const auto& [id, score] : scores) {
      if (std::count(excluded.begin(), excluded.end(), id) > 0) continue;
      if (available != nullptr && !available[id]) continue;
      double product = 0;
      for (int64_t d = 0; d < width; ++d) {
        product += double{user_vector[d]} * item_vectors[id * width + d];
      }
      best.emplace_back(-score - (width > 0 ? Softplus64(product) : 0.0), id);
    }
    std::sort(best.begin(), best.end());
    return best;
  }

  // (-contribution, trigger) of the paths to an item, the largest first.
  std::vector<std::pair<double, int32_t>> PathsTo(int32_t id) const {
    std::vector<std::pair<double, int32_t>> paths;
    for (size_t i = 0; i < triggers.size(); ++i) {
      if (triggers[i] == -1) continue;
      for (Split e = row_splits[triggers[i]]; e < row_splits[triggers[i] + 1];
           ++e) {
        if (neighbours[e] != id) continue;
        paths.emplace_back(-Softplus64(weights[i] + similarities[e]),
                           triggers[i]);
      }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  static double Softplus64(double x) {
    return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
  }
};

void ExpectClose(double actual, double expected, const std::string& what) {
  Expect(std::fabs(actual - expected) <= 1e-5 * std::fabs(expected) + 1e-5,
         what + ": " + std::to_string(actual) + ", not " +
             std::to_string(expected));
}

// Near ties may change places in float32: scores are compared by rank, and each
// id's own score where it stands.
template <typename Split>
void ExpectBest(const PathCase<Split>& c, const int32_t* ids,
                const float* scores) {
  const auto best = c.Expected();
  std::map<int32_t, double> score_of;
  for (const auto& [score, id] : best) score_of[id] = -score;
  const int64_t num_candidates = best.size();
  for (int64_t rank = 0; rank < c.k; ++rank) {
    if (rank >= num_candidates) {
      Expect(ids[rank] == -1 && scores[rank] < 0, "the pads of the results");
      continue;
    }
    Expect(score_of.count(ids[rank]) == 1, "an id twice, or no candidate");
    ExpectClose(scores[rank], -best[rank].first, "the score of a rank");
    ExpectClose(scores[rank], score_of[ids[rank]], "the score of an id");
    score_of.erase(ids[rank]);
  }
}

// As above: the contributions by place, and each one's own trigger.
void ExpectPaths(const std::vector<std::pair<double, int32_t>>& paths,
                 int64_t num_paths, const int32_t* triggers,
                 const float* contributions) {
  for (int64_t i = 0; i < num_paths; ++i) {
    if (i >= static_cast<int64_t>(paths.size())) {
      Expect(triggers[i] == -1 && contributions[i] == 0, "the paths' pads");
      continue;
    }
    ExpectClose(contributions[i], -paths[i].first, "a path's contribution");
    const bool is_path = std::any_of(
        paths.begin(), paths.end(), [&](const std::pair<double, int32_t>& p) {
          return p.second == triggers[i] &&
                 std::fabs(p.first + contributions[i]) <= 1e-5 - 1e-5 * p.first;
        });
    Expect(is_path, "a path's trigger");
    if (i > 0) {
      Expect(contributions[i] <= contributions[i - 1], "the paths' order");
    }
  }
}

template <typename Split>
void FuzzPathTopK(Random* random, bool malformed, PathTopK* search) {
  PathCase<Split> c(random);
  if (malformed) c.Spoil(random);
  const auto neighbours = Exact(c.neighbours);
  const auto similarities = Exact(c.similarities);
  const auto row_splits = Exact(c.row_splits);
  const auto item_vectors = Exact(c.item_vectors);
  const auto triggers = Exact(c.triggers);
  const auto weights = Exact(c.weights);
  const auto excluded = Exact(c.excluded);
  const auto user_vector = Exact(c.user_vector);
  const int64_t num_triggers = c.triggers.size();
  const int64_t num_excluded = c.excluded.size();
  const int64_t num_entries = c.neighbours.size();
  const PathIndex<Split> index{
      neighbours.get(), similarities.get(), num_entries, row_splits.get(),
      c.num_items,      item_vectors.get(), c.width,     c.available.get()};
  std::unique_ptr<int32_t[]> ids(new int32_t[c.k]);
  std::unique_ptr<float[]> scores(new float[c.k]);
  std::unique_ptr<int32_t[]> path_triggers(new int32_t[c.k * c.num_paths]);
  std::unique_ptr<float[]> contributions(new float[c.k * c.num_paths]);
  Status status = CheckPathIndex(index);
  if (status.ok()) {
    status = search->Search(
        index,
        PathQuery{7, triggers.get(), weights.get(), num_triggers,
                  excluded.get(), num_excluded, user_vector.get()},
        PathResults{c.k, c.num_paths, ids.get(), scores.get(),
                    path_triggers.get(), contributions.get()});
  }
  Expect(status.ok() == !malformed, "paths: " + status.message());
  if (malformed) return;
  ExpectBest(c, ids.get(), scores.get());
  for (int64_t rank = 0; rank < c.k; ++rank) {
    ExpectPaths(c.PathsTo(ids[rank]), c.num_paths,
                path_triggers.get() + rank * c.num_paths,
                contributions.get() + rank * c.num_paths);
  }
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
  PathTopK search;  // One for all, so that a search finds another's memory.
  for (int64_t i = 0; i < num_malformed; ++i) {
    for (const bool malformed : {true, false}) {
      FuzzVisitedInsert(&random, malformed);
      FuzzGraphExpand<int32_t>(&random, malformed);
      FuzzGraphExpand<int64_t>(&random, malformed);
      FuzzPathTopK<int32_t>(&random, malformed, &search);
      FuzzPathTopK<int64_t>(&random, malformed, &search);
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
