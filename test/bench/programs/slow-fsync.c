/* Loaded before libc: every fsync and fdatasync takes SLOW_FSYNC_US microseconds longer, as on a slower disk; with
   NO_FSYNC set neither reaches the disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_longer(void) {
  const char *us = getenv("SLOW_FSYNC_US");
  if (us) usleep((useconds_t)atoi(us));
}

int fsync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (getenv("NO_FSYNC")) return 0;
  wait_longer();
  return next(fd);
}

int fdatasync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  if (getenv("NO_FSYNC")) return 0;
  wait_longer();
  return next(fd);
}
