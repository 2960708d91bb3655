// Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
//
// tfrec.ops._core: the core for NumPy. No array is copied: the bitmap is
// changed in place, after everything that the call reads was checked.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cc_ops/core/graph_expand.h"
#include "cc_ops/core/path_index.h"
#include "cc_ops/core/path_top_k.h"
#include "cc_ops/core/status.h"
#include "cc_ops/core/visited_insert.h"

namespace tfrec {
namespace {

namespace py = pybind11;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

void ThrowUnlessOk(const Status& status) {
  if (!status.ok()) throw py::value_error(status.message());
}

void CheckRank(const py::array& array, int rank, const std::string& name,
               const std::string& letters) {
  if (array.ndim() == rank) return;
  ThrowUnlessOk(Status::Invalid(name,
                                "rank " + std::to_string(rank) + " " + letters,
                                "rank " + std::to_string(array.ndim())));
}

void CheckSameBatch(const py::array& visited, const py::array& other,
                    const std::string& name) {
  if (visited.shape(0) == other.shape(0)) return;
  ThrowUnlessOk(Status::Invalid(name, "of the batch size of `visited`",
                                std::to_string(other.shape(0)) + " and " +
                                    std::to_string(visited.shape(0)) +
                                    " rows"));
}

Array<bool> VisitedInsertBatch(Array<uint64_t> visited, Array<int32_t> ids) {
  CheckRank(visited, 2, "visited", "(B, W)");
  CheckRank(ids, 2, "ids", "(B, F)");
  CheckSameBatch(visited, ids, "ids");
  const int64_t batch_size = ids.shape(0);
  const int64_t num_ids = ids.shape(1);
  const int64_t num_words = visited.shape(1);
  uint64_t* words = visited.mutable_data();
  const int32_t* ids_data = ids.data();
  for (int64_t user = 0; user < batch_size; ++user) {
    ThrowUnlessOk(CheckIds("ids", user, ids_data + user * num_ids, num_ids,
                           num_words * kBitsPerWord));
  }
  Array<bool> is_new({batch_size, num_ids});
  bool* is_new_data = is_new.mutable_data();
  for (int64_t user = 0; user < batch_size; ++user) {
    VisitedInsert(ids_data + user * num_ids, num_ids, words + user * num_words,
                  is_new_data + user * num_ids);
  }
  return is_new;
}

// The users' fresh nodes as one array, padded to a bucket.
Array<int32_t> Padded(const std::vector<std::vector<int32_t>>& fresh,
                      const std::vector<int64_t>& bucket_sizes) {
  size_t longest = 0;
  for (const auto& nodes : fresh) longest = std::max(longest, nodes.size());
  const int64_t width = PaddedWidth(longest, bucket_sizes);
  Array<int32_t> fresh_bc({static_cast<int64_t>(fresh.size()), width});
  int32_t* row = fresh_bc.mutable_data();
  for (const auto& nodes : fresh) {
    std::fill(std::copy(nodes.begin(), nodes.end(), row), row + width,
              kPaddingId);
    row += width;
  }
  return fresh_bc;
}

template <typename Split>
std::pair<Array<int32_t>, Array<int32_t>> GraphExpandBatch(
    Array<uint64_t> visited, Array<int32_t> frontier, Array<int32_t> values,
    Array<Split> row_splits, const std::vector<int64_t>& bucket_sizes) {
  CheckRank(visited, 2, "visited", "(B, W)");
  CheckRank(frontier, 2, "frontier", "(B, F)");
  CheckSameBatch(visited, frontier, "frontier");
  CheckRank(values, 1, "values", "(E,)");
  CheckRank(row_splits, 1, "row_splits", "(N + 1,)");
  const Adjacency<Split> graph{values.data(), values.size(), row_splits.data(),
                               row_splits.size() - 1};
  const int64_t num_words = visited.shape(1);
  ThrowUnlessOk(CheckAdjacency(graph, num_words));
  ThrowUnlessOk(CheckBucketSizes(bucket_sizes));

  const int64_t batch_size = frontier.shape(0);
  const int64_t frontier_size = frontier.shape(1);
  uint64_t* words = visited.mutable_data();
  const int32_t* frontier_data = frontier.data();
  std::vector<int64_t> max_fresh(batch_size);
  for (int64_t user = 0; user < batch_size; ++user) {
    ThrowUnlessOk(CheckFrontier(graph, user,
                                frontier_data + user * frontier_size,
                                frontier_size, &max_fresh[user]));
  }
  std::vector<std::vector<int32_t>> fresh(batch_size);
  Array<int32_t> counts(batch_size);
  for (int64_t user = 0; user < batch_size; ++user) {
    fresh[user].resize(max_fresh[user] + 1);
    const int64_t num_fresh =
        GraphExpand(graph, frontier_data + user * frontier_size, frontier_size,
                    words + user * num_words, fresh[user].data());
    fresh[user].resize(num_fresh);
    counts.mutable_data()[user] = static_cast<int32_t>(num_fresh);
  }
  return {Padded(fresh, bucket_sizes), counts};
}

void CheckSize(const py::array& array, int dim, int64_t size,
               const std::string& name, const std::string& rule) {
  if (array.shape(dim) == size) return;
  ThrowUnlessOk(Status::Invalid(name, rule,
                                std::to_string(array.shape(dim)) + ", not " +
                                    std::to_string(size) + " in dimension " +
                                    std::to_string(dim)));
}

using PathTopKArrays =
    std::tuple<Array<int32_t>, Array<float>, Array<int32_t>, Array<float>>;

template <typename Split>
PathTopKArrays PathTopKBatch(Array<int32_t> triggers, Array<float> weights,
                             Array<int32_t> neighbours,
                             Array<float> similarities, Array<Split> row_splits,
                             Array<float> user_vectors,
                             Array<float> item_vectors, Array<int32_t> excluded,
                             Array<bool> available, int64_t k,
                             int64_t num_paths) {
  CheckRank(triggers, 2, "triggers", "(B, M)");
  CheckRank(weights, 2, "weights", "(B, M)");
  CheckRank(neighbours, 1, "neighbours", "(E,)");
  CheckRank(similarities, 1, "similarities", "(E,)");
  CheckRank(row_splits, 1, "row_splits", "(N + 1,)");
  CheckRank(user_vectors, 2, "user_vectors", "(B, D)");
  CheckRank(item_vectors, 2, "item_vectors", "(N, D)");
  CheckRank(excluded, 2, "excluded", "(B, S)");
  CheckRank(available, 1, "available", "(N,)");
  const PathIndex<Split> index{
      neighbours.data(),     similarities.data(),
      neighbours.size(),     row_splits.data(),
      row_splits.size() - 1, item_vectors.data(),
      item_vectors.shape(1), available.size() > 0 ? available.data() : nullptr};
  ThrowUnlessOk(CheckPathIndex(index));
  ThrowUnlessOk(CheckNumResults(k));
  if (num_paths < 0) {
    ThrowUnlessOk(
        Status::Invalid("num_paths", "at least 0", std::to_string(num_paths)));
  }
  const int64_t batch_size = triggers.shape(0);
  const int64_t num_triggers = triggers.shape(1);
  const std::string batch = "of the batch size of `triggers`";
  const std::string items = "of a row for each of the N items";
  CheckSize(weights, 0, batch_size, "weights", batch);
  CheckSize(weights, 1, num_triggers, "weights", "of the shape of `triggers`");
  CheckSize(similarities, 0, index.num_entries, "similarities",
            "of the shape of `neighbours`");
  CheckSize(user_vectors, 0, batch_size, "user_vectors", batch);
  CheckSize(item_vectors, 0, index.num_items, "item_vectors", items);
  CheckSize(item_vectors, 1, user_vectors.shape(1), "item_vectors",
            "of the width of `user_vectors`");
  CheckSize(excluded, 0, batch_size, "excluded", batch);
  if (index.available != nullptr) {
    CheckSize(available, 0, index.num_items, "available", items);
  }

  PathTopKArrays outputs{Array<int32_t>({batch_size, k}),
                         Array<float>({batch_size, k}),
                         Array<int32_t>({batch_size, k, num_paths}),
                         Array<float>({batch_size, k, num_paths})};
  auto& [ids, scores, path_triggers, path_contributions] = outputs;
  PathTopK search;
  for (int64_t user = 0; user < batch_size; ++user) {
    const PathQuery query{user,
                          triggers.data() + user * num_triggers,
                          weights.data() + user * num_triggers,
                          num_triggers,
                          excluded.data() + user * excluded.shape(1),
                          excluded.shape(1),
                          user_vectors.data() + user * index.width};
    const int64_t first_path = user * k * num_paths;
    const PathResults results{k,
                              num_paths,
                              ids.mutable_data() + user * k,
                              scores.mutable_data() + user * k,
                              path_triggers.mutable_data() + first_path,
                              path_contributions.mutable_data() + first_path};
    ThrowUnlessOk(search.Search(index, query, results));
  }
  return outputs;
}

constexpr char kVisitedInsertDoc[] =
    R"doc(Keeps the first sighting of each id and marks it visited, in place.

Args:
    visited: uint64 `(B, W)`, C-contiguous and writable. The ids' bits are set in it.
    ids: int32 `(B, F)`, in `[0, 64 * W)`; -1 is padding.
Returns: bool `(B, F)`, True where the id was not marked before.
Raises: ValueError: a rank or an id is wrong; `visited` is then as it was. TypeError: an
    array has another dtype or is not contiguous.
)doc";

constexpr char kGraphExpandDoc[] =
    R"doc(Collects the unvisited neighbours of a frontier and marks them, in place.

Args:
    visited: uint64 `(B, W)`, C-contiguous and writable. The bits of `fresh` are set in it.
    frontier: int32 `(B, F)`, in `[0, N)`; -1 is padding.
    values: int32 `(E,)`, in `[0, N)`.
    row_splits: int32 or int64 `(N + 1,)`.
    bucket_sizes: as `tfrec.ops.graph_expand`.
Returns: `(fresh, counts)`: int32 `(B, C)` padded with -1, int32 `(B,)`.
Raises: ValueError: a rank, an id or an offset is wrong; `visited` is then as it was.
    TypeError: an array has another dtype or is not contiguous.
)doc";

constexpr char kPathTopKDoc[] =
    R"doc(Retrieves the best items over two-hop paths from users over triggers.

Args: as `tfrec.ops.path_top_k`, NumPy arrays of exactly its dtypes, C-contiguous.
Returns: `(ids, scores, path_triggers, path_contributions)`: int32 and float32 `(B, K)`,
    int32 and float32 `(B, K, P)`.
Raises: ValueError: where `tfrec.ops.path_top_k` raises an InvalidArgumentError.
    TypeError: an array has another dtype or is not contiguous.
)doc";

template <typename Split>
void DefinePathTopK(py::module_* module) {
  module->def(
      "path_top_k", &PathTopKBatch<Split>, py::arg("triggers").noconvert(),
      py::arg("weights").noconvert(), py::arg("neighbours").noconvert(),
      py::arg("similarities").noconvert(), py::arg("row_splits").noconvert(),
      py::arg("user_vectors").noconvert(), py::arg("item_vectors").noconvert(),
      py::arg("excluded").noconvert(), py::arg("available").noconvert(),
      py::arg("k"), py::arg("num_paths") = 0, kPathTopKDoc);
}

template <typename Split>
void DefineGraphExpand(py::module_* module) {
  module->def("graph_expand", &GraphExpandBatch<Split>,
              py::arg("visited").noconvert(), py::arg("frontier").noconvert(),
              py::arg("values").noconvert(), py::arg("row_splits").noconvert(),
              py::arg("bucket_sizes") = std::vector<int64_t>(),
              kGraphExpandDoc);
}

PYBIND11_MODULE(_core, module) {
  module.doc() = "The ops' core on NumPy arrays, without TensorFlow.";
  module.def("visited_insert", &VisitedInsertBatch,
             py::arg("visited").noconvert(), py::arg("ids").noconvert(),
             kVisitedInsertDoc);
  DefineGraphExpand<int32_t>(&module);
  DefineGraphExpand<int64_t>(&module);
  DefinePathTopK<int32_t>(&module);
  DefinePathTopK<int64_t>(&module);
}

}  // namespace
}  // namespace tfrec
