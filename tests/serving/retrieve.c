/* Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
 *
 * Runs the `retrieve` signature of an exported model through TensorFlow's C
 * API:
 *
 *     retrieve OP_LIBRARY MODEL_FOLDER K NUM_USERS RAW_ID...
 *
 * RAW_IDs are the users' histories one after the other, all of one length.
 * Prints a line a user: K times `raw_id:score`. OP_LIBRARY "-" loads none. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void Fail(const char* what, const char* why) {
  fprintf(stderr, "retrieve: %s: %s\n", what, why);
  exit(1);
}

static void Check(const TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) Fail(what, TF_Message(status));
}

/* A serialised protocol buffer, or a string in one. */
typedef struct {
  const uint8_t* data;
  size_t size;
} Bytes;

static uint64_t ReadVarint(Bytes* from) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && from->size > 0; shift += 7) {
    const uint8_t byte = *from->data++;
    --from->size;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail("MetaGraphDef", "a number is cut off");
  return 0;
}

static Bytes ReadBytes(Bytes* from, uint64_t size) {
  if (size > from->size) Fail("MetaGraphDef", "a field is cut off");
  const Bytes read = {from->data, (size_t)size};
  from->data += size;
  from->size -= (size_t)size;
  return read;
}

/* Moves `message` behind its next field of that number that has a length, and
 * gives its content; returns 0 when there is none. */
static int NextField(Bytes* message, uint64_t number, Bytes* content) {
  while (message->size > 0) {
    const uint64_t tag = ReadVarint(message);
    switch (tag & 7) {
      case 0:
        ReadVarint(message);
        break;
      case 1:
        ReadBytes(message, 8);
        break;
      case 2:
        *content = ReadBytes(message, ReadVarint(message));
        if (tag >> 3 == number) return 1;
        break;
      case 5:
        ReadBytes(message, 4);
        break;
      default:
        Fail("MetaGraphDef", "unknown wire type");
    }
  }
  return 0;
}

/* The value of `key` in the map that is field `number` of `message`. */
static Bytes MapValue(Bytes message, uint64_t number, const char* key) {
  Bytes entry, name, value;
  while (NextField(&message, number, &entry)) {
    Bytes rest = entry;
    if (NextField(&rest, 1, &name) && name.size == strlen(key) &&
        memcmp(name.data, key, name.size) == 0 &&
        NextField(&entry, 2, &value)) {
      return value;
    }
  }
  Fail("the model must have", key);
  return message;
}

/* The tensor behind a signature's input (field 1) or output (field 2). */
static TF_Output FindTensor(TF_Graph* graph, Bytes signature, uint64_t field,
                            const char* key) {
  Bytes info = MapValue(signature, field, key);
  Bytes text;
  char name[256] = {0};
  if (!NextField(&info, 1, &text) || text.size >= sizeof(name)) {
    Fail("TensorInfo", "no name");
  }
  memcpy(name, text.data, text.size);
  char* colon = strchr(name, ':');
  TF_Output output = {NULL, 0};
  if (colon != NULL) {
    *colon = '\0';
    output.index = atoi(colon + 1);
  }
  output.oper = TF_GraphOperationByName(graph, name);
  if (output.oper == NULL) Fail("no operation", name);
  return output;
}

static TF_Tensor* NewHistory(int64_t num_users, int num_ids, char** ids) {
  const int64_t dims[2] = {num_users, num_ids / num_users};
  const size_t size = sizeof(int64_t) * (size_t)num_ids;
  TF_Tensor* tensor = TF_AllocateTensor(TF_INT64, dims, 2, size);
  int64_t* data = TF_TensorData(tensor);
  for (int i = 0; i < num_ids; ++i) data[i] = strtoll(ids[i], NULL, 10);
  return tensor;
}

static TF_Tensor* NewScalar(int32_t value) {
  TF_Tensor* tensor = TF_AllocateTensor(TF_INT32, NULL, 0, sizeof(value));
  memcpy(TF_TensorData(tensor), &value, sizeof(value));
  return tensor;
}

static void Print(const TF_Tensor* ids, const TF_Tensor* scores) {
  const int64_t* id = TF_TensorData(ids);
  const float* score = TF_TensorData(scores);
  for (int64_t user = 0; user < TF_Dim(ids, 0); ++user) {
    for (int64_t i = 0; i < TF_Dim(ids, 1); ++i, ++id, ++score) {
      printf("%" PRId64 ":%.9g ", *id, (double)*score);
    }
    printf("\n");
  }
}

int main(int argc, char** argv) {
  if (argc < 5) {
    Fail("arguments", "OP_LIBRARY MODEL_FOLDER K NUM_USERS RAW_ID...");
  }
  const int num_users = atoi(argv[4]), num_ids = argc - 5;
  if (num_users < 1 || num_ids % num_users != 0) {
    Fail("NUM_USERS", "must divide the number of ids");
  }
  TF_Status* status = TF_NewStatus();
  if (strcmp(argv[1], "-") != 0) {
    TF_LoadLibrary(argv[1], status); /* stays until the process ends */
    Check(status, argv[1]);
  }
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Buffer* meta_graph = TF_NewBuffer();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[2], tags, 1, graph, meta_graph, status);
  Check(status, argv[2]);

  const Bytes meta = {meta_graph->data, meta_graph->length};
  const Bytes signature = MapValue(meta, 5, "retrieve");
  const TF_Output inputs[] = {FindTensor(graph, signature, 1, "history"),
                              FindTensor(graph, signature, 1, "k")};
  const TF_Output outputs[] = {FindTensor(graph, signature, 2, "ids"),
                               FindTensor(graph, signature, 2, "scores")};
  TF_Tensor* fed[] = {NewHistory(num_users, num_ids, argv + 5),
                      NewScalar(atoi(argv[3]))};
  TF_Tensor* fetched[] = {NULL, NULL};
  TF_SessionRun(session, NULL, inputs, fed, 2, outputs, fetched, 2, NULL, 0,
                NULL, status);
  Check(status, "retrieve");
  Print(fetched[0], fetched[1]);

  for (int i = 0; i < 2; ++i) {
    TF_DeleteTensor(fed[i]);
    TF_DeleteTensor(fetched[i]);
  }
  TF_DeleteSession(session, status);
  Check(status, "TF_DeleteSession");
  TF_DeleteBuffer(meta_graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
