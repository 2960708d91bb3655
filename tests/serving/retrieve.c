/* Copyright 2026 The tfrec Authors. SPDX-License-Identifier: Apache-2.0
 *
 * Runs the `retrieve` signature of an exported model through TensorFlow's C
 * API:
 *
 *     retrieve OP_LIBRARY MODEL_FOLDER [NAME TYPE SHAPE VALUES]...
 *
 * OP_LIBRARY "-" loads none. Each input is its name, int32, int64, float or
 * string, its shape such as 2x3 ("-" for a scalar), and its values, separated
 * by commas. Prints a line a user: K times `raw_id:score`. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { kMaxInputs = 32, kMaxDims = 4 };

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

/* Bytes of an element of a named type, which `type` gets. */
static size_t ParseType(const char* name, TF_DataType* type) {
  static const struct {
    const char* name;
    TF_DataType type;
    size_t size;
  } kTypes[] = {{"int32", TF_INT32, sizeof(int32_t)},
                {"int64", TF_INT64, sizeof(int64_t)},
                {"float", TF_FLOAT, sizeof(float)},
                {"string", TF_STRING, sizeof(TF_TString)}};
  for (size_t i = 0; i < sizeof(kTypes) / sizeof(kTypes[0]); ++i) {
    if (strcmp(kTypes[i].name, name) == 0) {
      *type = kTypes[i].type;
      return kTypes[i].size;
    }
  }
  Fail("unknown type", name);
  return 0;
}

/* Writes one value of a tensor's type at its place. */
static void SetValue(TF_DataType type, void* place, const char* text,
                     size_t size) {
  if (type == TF_STRING) {
    TF_StringInit(place);
    TF_StringCopy(place, text, size);
  } else if (type == TF_INT32) {
    *(int32_t*)place = (int32_t)strtol(text, NULL, 10);
  } else if (type == TF_INT64) {
    *(int64_t*)place = strtoll(text, NULL, 10);
  } else {
    *(float*)place = strtof(text, NULL);
  }
}

/* A tensor of a type, a shape and values as the command line has them. */
static TF_Tensor* NewTensor(const char* type_name, const char* shape,
                            const char* values) {
  TF_DataType type = TF_INT32;
  const size_t size = ParseType(type_name, &type);
  int64_t dims[kMaxDims], count = 1;
  int rank = 0;
  for (const char* dim = shape; *dim >= '0' && *dim <= '9'; ++rank) {
    char* end;
    if (rank == kMaxDims) Fail("too many dimensions", shape);
    dims[rank] = strtoll(dim, &end, 10);
    count *= dims[rank];
    dim = *end == 'x' ? end + 1 : end;
  }
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, rank, size * (size_t)count);
  char* place = TF_TensorData(tensor);
  for (int64_t i = 0; i < count; ++i, place += size) {
    if (values == NULL) Fail("too few values for the shape", shape);
    const char* comma = strchr(values, ',');
    const size_t length =
        comma != NULL ? (size_t)(comma - values) : strlen(values);
    SetValue(type, place, values, length);
    values = comma != NULL ? comma + 1 : NULL;
  }
  return tensor;
}

static void DeleteTensor(TF_Tensor* tensor) {
  if (TF_TensorType(tensor) == TF_STRING) {
    TF_TString* strings = TF_TensorData(tensor);
    for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
      TF_StringDealloc(strings + i);
    }
  }
  TF_DeleteTensor(tensor);
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
  const int num_inputs = (argc - 3) / 4;
  if (argc < 3 || (argc - 3) % 4 != 0 || num_inputs > kMaxInputs) {
    Fail("arguments", "OP_LIBRARY MODEL_FOLDER [NAME TYPE SHAPE VALUES]...");
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
  TF_Output inputs[kMaxInputs];
  TF_Tensor* fed[kMaxInputs];
  for (int i = 0; i < num_inputs; ++i) {
    char** input = argv + 3 + 4 * i;
    inputs[i] = FindTensor(graph, signature, 1, input[0]);
    fed[i] = NewTensor(input[1], input[2], input[3]);
  }
  const TF_Output outputs[] = {FindTensor(graph, signature, 2, "ids"),
                               FindTensor(graph, signature, 2, "scores")};
  TF_Tensor* fetched[] = {NULL, NULL};
  TF_SessionRun(session, NULL, inputs, fed, num_inputs, outputs, fetched, 2,
                NULL, 0, NULL, status);
  Check(status, "retrieve");
  Print(fetched[0], fetched[1]);

  for (int i = 0; i < num_inputs; ++i) DeleteTensor(fed[i]);
  for (int i = 0; i < 2; ++i) TF_DeleteTensor(fetched[i]);
  TF_DeleteSession(session, status);
  Check(status, "TF_DeleteSession");
  TF_DeleteBuffer(meta_graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
