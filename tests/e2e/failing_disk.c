/* Preloaded into a node: while the file that FAILING_DISK names exists, everything that
   would change a regular file fails with the errno that stands in it. Stderr is spared. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int failure(void) {
  const char* flag = getenv("FAILING_DISK");
  int (*next_open)(const char*, int, ...) = dlsym(RTLD_NEXT, "open");
  int number = 0;
  int kept = errno;
  int file = flag ? next_open(flag, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    char text[16] = {0};
    if (read(file, text, sizeof(text) - 1) > 0) number = atoi(text);
    close(file);
  }
  errno = kept;
  return number;
}

static int fails(int file) {
  struct stat status;
  if (file == 2 || (file > 0 && (fstat(file, &status) != 0 || S_ISREG(status.st_mode) == 0)))
    return 0;
  int number = failure();
  if (number != 0) errno = number;
  return number != 0;
}

static int opening(const char* name, const char* path, int flags, mode_t mode) {
  int writes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
  if (writes && fails(-1)) return -1;
  int (*next)(const char*, int, ...) = dlsym(RTLD_NEXT, name);
  return next(path, flags, mode);
}

#define OPEN(name)                            \
  int name(const char* path, int flags, ...) { \
    va_list more;                             \
    va_start(more, flags);                    \
    mode_t mode = va_arg(more, mode_t);       \
    va_end(more);                             \
    return opening(#name, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int f, const void* b, size_t n) { return fails(f) ? -1 : NEXT(write)(f, b, n); }
ssize_t pwrite(int f, const void* b, size_t n, off_t at) {
  return fails(f) ? -1 : NEXT(pwrite)(f, b, n, at);
}
ssize_t pwrite64(int f, const void* b, size_t n, off64_t at) {
  return fails(f) ? -1 : NEXT(pwrite64)(f, b, n, at);
}
int fdatasync(int f) { return fails(f) ? -1 : NEXT(fdatasync)(f); }
int fsync(int f) { return fails(f) ? -1 : NEXT(fsync)(f); }
int ftruncate(int f, off_t n) { return fails(f) ? -1 : NEXT(ftruncate)(f, n); }
int ftruncate64(int f, off64_t n) { return fails(f) ? -1 : NEXT(ftruncate64)(f, n); }
int rename(const char* a, const char* b) { return fails(-1) ? -1 : NEXT(rename)(a, b); }
int unlink(const char* a) { return fails(-1) ? -1 : NEXT(unlink)(a); }
