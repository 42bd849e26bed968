/* Runs one signature of a SavedModel through TensorFlow's C API: no Python, no keras_pli.

   run_signature EXPORT REPEATS INPUTS... -- OUTPUTS...

   INPUT is operation,index,dtype,file,dim[,dim...] with dtype f (float32) or i (int32) and raw values in the
   file; OUTPUT is operation,index,file and receives raw values. Prints the seconds of each call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"

#define MOST 16

static void check(TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(1);
  }
}

static TF_Output find(TF_Graph *graph, const char *operation, int index) {
  TF_Output found = {TF_GraphOperationByName(graph, operation), index};
  if (!found.oper) {
    fprintf(stderr, "no operation %s\n", operation);
    exit(2);
  }
  return found;
}

static TF_Tensor *read_tensor(char kind, const char *path, const int64_t *dims, int rank) {
  size_t bytes = 4;
  for (int axis = 0; axis < rank; axis++) bytes *= dims[axis];
  TF_Tensor *tensor = TF_AllocateTensor(kind == 'i' ? TF_INT32 : TF_FLOAT, dims, rank, bytes);
  FILE *file = fopen(path, "rb");
  if (!file || fread(TF_TensorData(tensor), 1, bytes, file) != bytes) {
    fprintf(stderr, "cannot read %zu bytes from %s\n", bytes, path);
    exit(2);
  }
  fclose(file);
  return tensor;
}

static void write_tensor(TF_Tensor *tensor, const char *path) {
  FILE *file = fopen(path, "wb");
  fwrite(TF_TensorData(tensor), 1, TF_TensorByteSize(tensor), file);
  fclose(file);
}

int main(int argc, char **argv) {
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status);

  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *given[MOST], *found[MOST];
  const char *files[MOST];
  int fed = 0, fetched = 0, argument = 3;
  for (; argument < argc && strcmp(argv[argument], "--"); argument++) {
    const char *operation = strtok(argv[argument], ",");
    int index = atoi(strtok(NULL, ","));
    char kind = *strtok(NULL, ",");
    const char *path = strtok(NULL, ",");
    int64_t dims[8];
    int rank = 0;
    for (char *dim; (dim = strtok(NULL, ",")); rank++) dims[rank] = atoll(dim);
    inputs[fed] = find(graph, operation, index);
    given[fed++] = read_tensor(kind, path, dims, rank);
  }
  for (argument++; argument < argc; argument++) {
    const char *operation = strtok(argv[argument], ",");
    outputs[fetched] = find(graph, operation, atoi(strtok(NULL, ",")));
    files[fetched++] = strtok(NULL, ",");
  }

  for (int call = 0; call < atoi(argv[2]); call++) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    TF_SessionRun(session, NULL, inputs, given, fed, outputs, found, fetched, NULL, 0, NULL, status);
    clock_gettime(CLOCK_MONOTONIC, &end);
    check(status);
    printf("%.9f\n", (end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec));
    for (int one = 0; one < fetched; one++) {
      if (call == 0) write_tensor(found[one], files[one]);
      TF_DeleteTensor(found[one]);
    }
  }
  return 0;
}
