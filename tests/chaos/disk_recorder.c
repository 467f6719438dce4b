/* Records what a process does to the files below one folder, in the order in which it was done: preloaded into
   a process, told by recorder_begin(folder, log) where to look and where to write.

   Each call that succeeded is a record: a letter, two lengths of paths (32 bits), offset and length of data
   (64 bits), then the paths, relative to the folder, and the data.

     C path          a file was made            D path          a folder was made
     W path data     bytes at an offset         U path          a file or an empty folder was removed
     T path offset   the file has this length   R path path     renamed, over what was there
     S path          a file or folder fsynced   X path path     the two changed places
     N text          a mark of the process      */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EXCHANGE = 2 };

static char root[PATH_MAX];
static int log_file = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void put(const void *from, size_t size) {
  while (size) {
    ssize_t written = syscall(SYS_write, log_file, from, size);
    if (written <= 0) abort();
    from = (const char *)from + written;
    size -= written;
  }
}

static void record(char what, const char *path, const char *other, uint64_t offset, const void *data, uint64_t size) {
  uint32_t lengths[2] = {strlen(path), strlen(other)};
  uint64_t numbers[2] = {offset, size};
  put(&what, 1);
  put(lengths, sizeof lengths);
  put(numbers, sizeof numbers);
  put(path, lengths[0]);
  put(other, lengths[1]);
  put(data, size);
}

/* Look below a folder (an absolute path without links) from now on; NULL ends it. */
void recorder_begin(const char *folder, const char *log) {
  pthread_mutex_lock(&one_at_a_time);
  if (log_file >= 0) syscall(SYS_close, log_file);
  log_file = -1;
  if (folder) {
    snprintf(root, sizeof root, "%s", folder);
    log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log_file < 0) abort();
  }
  pthread_mutex_unlock(&one_at_a_time);
}

void recorder_mark(const char *text) {
  pthread_mutex_lock(&one_at_a_time);
  if (log_file >= 0) record('N', text, "", 0, NULL, 0);
  pthread_mutex_unlock(&one_at_a_time);
}

/* The path of a file relative to the folder; NULL for one elsewhere, or without a name. */
static const char *inside(int folder, const char *name, char path[PATH_MAX]) {
  char link[64];
  ssize_t length = 0;
  int before = errno;
  if (!name || *name != '/') {
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    if ((length = syscall(SYS_readlink, link, path, PATH_MAX - 1)) < 0) length = 0;
  }
  path[length] = 0;
  if (name && *name) snprintf(path + length, PATH_MAX - length, length ? "/%s" : "%s", name);
  errno = before;
  size_t all = strlen(root);
  if (log_file < 0 || strncmp(path, root, all) || (path[all] && path[all] != '/')) return NULL;
  if (strstr(path, " (deleted)")) return NULL;
  return path[all] ? path + all + 1 : path + all;
}

/* Define a call: its result, name and parameters, and a body that calls the real one and records it. */
#define RECORDED(type, name, parameters, ...)                                   \
  type name parameters {                                                        \
    static type(*real) parameters;                                              \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);              \
    char first[PATH_MAX], second[PATH_MAX];                                     \
    const char *path, *other;                                                   \
    (void)first, (void)second, (void)path, (void)other;                         \
    pthread_mutex_lock(&one_at_a_time);                                         \
    off_t at = 0;                                                               \
    (void)at;                                                                   \
    __VA_ARGS__                                                                 \
    pthread_mutex_unlock(&one_at_a_time);                                       \
    return result;                                                              \
  }

static off_t place(int fd) {
  struct stat64 found;
  if (fcntl(fd, F_GETFL) & O_APPEND) return fstat64(fd, &found) ? 0 : found.st_size;
  return lseek64(fd, 0, SEEK_CUR);
}

RECORDED(ssize_t, write, (int fd, const void *from, size_t size),
         if ((path = inside(fd, NULL, first))) at = place(fd);
         ssize_t result = real(fd, from, size);
         if (path && result > 0) record('W', path, "", at, from, result);)
RECORDED(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t to),
         path = inside(fd, NULL, first);
         ssize_t result = real(fd, from, size, to);
         if (path && result > 0) record('W', path, "", to, from, result);)
RECORDED(ssize_t, writev, (int fd, const struct iovec *from, int count),
         if ((path = inside(fd, NULL, first))) at = place(fd);
         ssize_t result = real(fd, from, count);
         for (ssize_t left = result; path && left > 0; from++) {
           ssize_t part = left < (ssize_t)from->iov_len ? left : (ssize_t)from->iov_len;
           record('W', path, "", at, from->iov_base, part);
           at += part, left -= part;
         })
RECORDED(int, ftruncate64, (int fd, off64_t size),
         path = inside(fd, NULL, first);
         int result = real(fd, size);
         if (path && !result) record('T', path, "", size, NULL, 0);)
RECORDED(int, fsync, (int fd),
         path = inside(fd, NULL, first);
         int result = real(fd);
         if (path && !result) record('S', path, "", 0, NULL, 0);)
RECORDED(int, fdatasync, (int fd),
         path = inside(fd, NULL, first);
         int result = real(fd);
         if (path && !result) record('S', path, "", 0, NULL, 0);)
RECORDED(int, rename, (const char *from, const char *to),
         path = inside(AT_FDCWD, from, first); other = inside(AT_FDCWD, to, second);
         int result = real(from, to);
         if (path && other && !result) record('R', path, other, 0, NULL, 0);)
RECORDED(int, renameat2, (int f, const char *from, int t, const char *to, unsigned how),
         path = inside(f, from, first); other = inside(t, to, second);
         int result = real(f, from, t, to, how);
         if (path && other && !result) record(how & EXCHANGE ? 'X' : 'R', path, other, 0, NULL, 0);)
RECORDED(int, mkdir, (const char *name, mode_t mode),
         path = inside(AT_FDCWD, name, first);
         int result = real(name, mode);
         if (path && !result) record('D', path, "", 0, NULL, 0);)
RECORDED(int, unlink, (const char *name),
         path = inside(AT_FDCWD, name, first);
         int result = real(name);
         if (path && !result) record('U', path, "", 0, NULL, 0);)
RECORDED(int, rmdir, (const char *name),
         path = inside(AT_FDCWD, name, first);
         int result = real(name);
         if (path && !result) record('U', path, "", 0, NULL, 0);)
RECORDED(int, unlinkat, (int folder, const char *name, int flags),
         path = inside(folder, name, first);
         int result = real(folder, name, flags);
         if (path && !result) record('U', path, "", 0, NULL, 0);)

static int open_at(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat64 found;
  pthread_mutex_lock(&one_at_a_time);
  const char *recorded = inside(folder, name, path);
  int temporary = (flags & O_TMPFILE) == O_TMPFILE;
  int absent = recorded && (flags & O_CREAT) && fstatat64(folder, name, &found, 0);
  int fd = syscall(SYS_openat, folder, name, flags | O_LARGEFILE, mode);
  if (fd >= 0 && recorded && !temporary) {
    if (absent) record('C', recorded, "", 0, NULL, 0);
    else if (flags & O_TRUNC) record('T', recorded, "", 0, NULL, 0);
  }
  pthread_mutex_unlock(&one_at_a_time);
  return fd;
}

#define OPEN(call, folder, ...)                 \
  int call(__VA_ARGS__, int flags, ...) {       \
    va_list rest;                               \
    va_start(rest, flags);                      \
    mode_t mode = va_arg(rest, mode_t);         \
    va_end(rest);                               \
    return open_at(folder, name, flags, mode);  \
  }

OPEN(open, AT_FDCWD, const char *name)
OPEN(open64, AT_FDCWD, const char *name)
OPEN(openat, folder, int folder, const char *name)
OPEN(openat64, folder, int folder, const char *name)
