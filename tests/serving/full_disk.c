// Preloaded into a process: the disk is full when a chosen file is written.
//
// The first open for writing of a path that has the value of FULL_DISK_AT in it
// sets the limit of the size of files, RLIMIT_FSIZE, to FULL_DISK_BYTES.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void fill(const char* path, int is_written) {
  const char* part = getenv("FULL_DISK_AT");
  const char* bytes = getenv("FULL_DISK_BYTES");
  struct rlimit size;
  if (part == NULL || bytes == NULL || !is_written || !strstr(path, part))
    return;
  getrlimit(RLIMIT_FSIZE, &size);
  size.rlim_cur = strtoul(bytes, NULL, 10);
  setrlimit(RLIMIT_FSIZE, &size);
}

#define OPEN(name)                                                \
  int name(const char* path, int flags, ...) {                    \
    int (*next)(const char*, int, ...) = dlsym(RTLD_NEXT, #name); \
    va_list rest;                                                 \
    va_start(rest, flags);                                        \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;     \
    va_end(rest);                                                 \
    fill(path, flags & (O_WRONLY | O_RDWR));                      \
    return next(path, flags, mode);                               \
  }

#define FOPEN(name)                                                    \
  FILE* name(const char* path, const char* mode) {                     \
    FILE* (*next)(const char*, const char*) = dlsym(RTLD_NEXT, #name); \
    fill(path, strpbrk(mode, "wa+") != NULL);                          \
    return next(path, mode);                                           \
  }

OPEN(open)
OPEN(open64)
FOPEN(fopen)
FOPEN(fopen64)
