/* A disk that fails on demand: preloaded into a process, it lets calls on files below one folder go wrong.

   FAULTY_DISK names the folder (an absolute path without links). FAULTY_DISK_PLAN holds rules
   CALL:FAULT:WHEN[:PART], several with commas between them:

     write:EIO:every=37            each 37th write of a process fails
     fsync:EIO:first=3             the first three do
     fsync:EIO:after=3             all but the first three do
     open:EACCES:at=2:manifest     the second open of a path with "manifest" in it
     fsync:EIO:always:/cases$      all of a path that ends in "/cases"
     write:short:every=2           half of the bytes are written (legal, and a classic trap)
     rename:done-EIO:always        the call is carried out and reported as failed

   Calls are open read write fsync rename mkdir unlink truncate stat. Each process counts by itself. Programs
   that it starts are preloaded as well, whatever environment they are given. Sockets, pipes, /proc and
   memory files lie in no folder, so nothing happens to them. Each fault is a line "CALL FAULT PATH" in the file
   that FAULTY_DISK_TOLD names. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_RULES = 16, GO_ON = 0, FAIL, CUT, FAIL_AFTER };

typedef struct {
  char call[16], fault[24], when[8], part[64];
  long number, seen;
} Rule;

static Rule rules[MOST_RULES];
static int rule_count;

static const struct { const char *name; int number; } ERRORS[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EACCES", EACCES}, {"ESTALE", ESTALE}, {"EINTR", EINTR}};

static int number_of(const char *name) {
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
    if (!strcmp(name, ERRORS[i].name)) return ERRORS[i].number;
  fprintf(stderr, "faulty_disk: unknown fault %s\n", name);
  abort();
}

/* Take another plan, and count anew. */
void faulty_disk_plan(const char *plan) {
  rule_count = 0;
  for (const char *at = plan; at && *at && rule_count < MOST_RULES; at += *at == ',') {
    Rule rule = {.number = 1};
    if (sscanf(at, "%15[^:]:%23[^:]:%7[a-z]", rule.call, rule.fault, rule.when) != 3) abort();
    size_t length = strcspn(at, ",");
    const char *number = memchr(at, '=', length), *part = at;
    for (int colons = 0; colons < 3 && part; colons++)
      if ((part = memchr(part, ':', length - (part - at)))) part++;
    if (number) rule.number = atol(number + 1);
    if (part) snprintf(rule.part, sizeof rule.part, "%.*s", (int)(length - (part - at)), part);
    rules[rule_count++] = rule;
    at += length;
  }
}

__attribute__((constructor)) static void begin(void) { faulty_disk_plan(getenv("FAULTY_DISK_PLAN")); }

static int is_due(Rule *rule) {
  long seen = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
  if (!strcmp(rule->when, "every")) return seen % rule->number == 0;
  if (!strcmp(rule->when, "first")) return seen <= rule->number;
  if (!strcmp(rule->when, "after")) return seen > rule->number;
  if (!strcmp(rule->when, "at")) return seen == rule->number;
  return 1;
}

static void tell(const Rule *rule, const char *path) {
  const char *file = getenv("FAULTY_DISK_TOLD");
  char line[PATH_MAX + 64];
  if (!file) return;
  int length = snprintf(line, sizeof line, "%s %s %s\n", rule->call, rule->fault, path);
  int told = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  syscall(SYS_write, told, line, length);
  syscall(SYS_close, told);
}

static int has(const char *path, const char *part) {
  size_t length = strlen(part), all = strlen(path);
  if (!length || part[length - 1] != '$') return strstr(path, part) != NULL;
  return all >= --length && !strncmp(path + all - length, part, length);
}

/* What happens to a call on a path: GO_ON, FAIL with errno set, CUT to half, or FAIL_AFTER it is done. */
static int fate(const char *call, const char *path, int *error) {
  const char *root = getenv("FAULTY_DISK");
  size_t length = root ? strlen(root) : 0;
  if (!length || strncmp(path, root, length) || (path[length] && path[length] != '/')) return GO_ON;
  for (Rule *rule = rules; rule < rules + rule_count; rule++) {
    if (strcmp(rule->call, call) || !has(path, rule->part) || !is_due(rule)) continue;
    tell(rule, path);
    if (!strcmp(rule->fault, "short")) return CUT;
    int after = !strncmp(rule->fault, "done-", 5);
    *error = number_of(rule->fault + 5 * after);
    return after ? FAIL_AFTER : FAIL;
  }
  return GO_ON;
}

static void path_of(int folder, const char *name, char path[PATH_MAX]) {
  char link[64];
  ssize_t length = 0;
  if (!name || *name != '/') {
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    if ((length = syscall(SYS_readlink, link, path, PATH_MAX - 1)) < 0) length = 0;
  }
  path[length] = 0;
  if (name && *name) snprintf(path + length, PATH_MAX - length, length ? "/%s" : "%s", name);
}

static int fate_at(const char *call, int folder, const char *name, int *error) {
  char path[PATH_MAX];
  int before = errno;
  path_of(folder, name, path);
  errno = before;
  return rule_count ? fate(call, path, error) : GO_ON;
}

/* Define a call that may fail: its result and name, its group, where its path is, parameters, arguments. */
#define FAULTY(type, failed, name, group, folder, path, parameters, ...)    \
  type name parameters {                                                    \
    static type(*real) parameters;                                          \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);          \
    int error = 0, kind = fate_at(group, folder, path, &error);             \
    type result = kind == FAIL ? failed : real(__VA_ARGS__);                \
    if (kind == FAIL || kind == FAIL_AFTER) return errno = error, failed;   \
    return result;                                                          \
  }

/* The same for a transfer of `size` bytes, which may also be cut to half. */
#define TRANSFER(name, group, parameters, ...)                              \
  ssize_t name parameters {                                                 \
    static ssize_t(*real) parameters;                                       \
    if (!real) real = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);       \
    int error = 0, kind = fate_at(group, fd, NULL, &error);                 \
    if (kind == FAIL) return errno = error, -1;                             \
    if (kind == CUT) size -= size / 2;                                      \
    return real(__VA_ARGS__);                                               \
  }

TRANSFER(read, "read", (int fd, void *to, size_t size), fd, to, size)
TRANSFER(pread64, "read", (int fd, void *to, size_t size, off64_t at), fd, to, size, at)
TRANSFER(readv, "read", (int fd, const struct iovec *to, int size), fd, to, size)
TRANSFER(write, "write", (int fd, const void *from, size_t size), fd, from, size)
TRANSFER(pwrite64, "write", (int fd, const void *from, size_t size, off64_t at), fd, from, size, at)
TRANSFER(writev, "write", (int fd, const struct iovec *from, int size), fd, from, size)

FAULTY(int, -1, fsync, "fsync", fd, NULL, (int fd), fd)
FAULTY(int, -1, fdatasync, "fsync", fd, NULL, (int fd), fd)
FAULTY(int, -1, ftruncate64, "truncate", fd, NULL, (int fd, off64_t size), fd, size)
FAULTY(int, -1, rename, "rename", AT_FDCWD, from, (const char *from, const char *to), from, to)
FAULTY(int, -1, renameat2, "rename", f, from, (int f, const char *from, int t, const char *to, unsigned how), f, from, t, to, how)
FAULTY(int, -1, mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
FAULTY(int, -1, unlink, "unlink", AT_FDCWD, path, (const char *path), path)
FAULTY(int, -1, rmdir, "unlink", AT_FDCWD, path, (const char *path), path)
FAULTY(int, -1, unlinkat, "unlink", fd, path, (int fd, const char *path, int flags), fd, path, flags)
FAULTY(int, -1, stat64, "stat", AT_FDCWD, path, (const char *path, struct stat64 *to), path, to)
FAULTY(int, -1, lstat64, "stat", AT_FDCWD, path, (const char *path, struct stat64 *to), path, to)
FAULTY(int, -1, fstatat64, "stat", fd, path, (int fd, const char *path, struct stat64 *to, int flags), fd, path, to, flags)
FAULTY(DIR *, NULL, opendir, "open", AT_FDCWD, path, (const char *path), path)
FAULTY(FILE *, NULL, fopen, "open", AT_FDCWD, path, (const char *path, const char *mode), path, mode)
FAULTY(FILE *, NULL, fopen64, "open", AT_FDCWD, path, (const char *path, const char *mode), path, mode)

/* posix_fallocate returns its error. */
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  static int (*real)(int, off64_t, off64_t);
  if (!real) real = (int (*)(int, off64_t, off64_t))dlsym(RTLD_NEXT, "posix_fallocate64");
  int error = 0;
  return fate_at("truncate", fd, NULL, &error) == FAIL ? error : real(fd, at, size);
}

/* A stream remembers that it failed. */
size_t fread(void *to, size_t size, size_t count, FILE *from) {
  static size_t (*real)(void *, size_t, size_t, FILE *);
  if (!real) real = (size_t(*)(void *, size_t, size_t, FILE *))dlsym(RTLD_NEXT, "fread");
  int error = 0;
  if (fate_at("read", fileno(from), NULL, &error) != FAIL) return real(to, size, count, from);
  from->_flags |= 0x20; /* _IO_ERR_SEEN */
  return errno = error, 0;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
  int error = 0;
  if (fate_at("open", folder, path, &error) == FAIL) return errno = error, -1;
  return syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
}

#define OPEN(name, folder, ...)                 \
  int name(__VA_ARGS__, int flags, ...) {       \
    va_list rest;                               \
    va_start(rest, flags);                      \
    mode_t mode = va_arg(rest, mode_t);         \
    va_end(rest);                               \
    return open_at(folder, path, flags, mode);  \
  }

OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, folder, int folder, const char *path)
OPEN(openat64, folder, int folder, const char *path)

/* Hand ourselves on to a program that is started with an environment of its own. */
int execve(const char *path, char *const arguments[], char *const environment[]) {
  static const char *const OURS[] = {"LD_PRELOAD", "FAULTY_DISK", "FAULTY_DISK_PLAN", "FAULTY_DISK_TOLD"};
  size_t count = 0;
  while (environment[count]) count++;
  char *more[count + 5], entries[4][2 * PATH_MAX];
  memcpy(more, environment, count * sizeof *more);
  for (int i = 0; i < 4; i++) {
    const char *value = getenv(OURS[i]);
    int present = 0;
    for (size_t k = 0; environment[k]; k++)
      present |= !strncmp(environment[k], OURS[i], strlen(OURS[i])) && environment[k][strlen(OURS[i])] == '=';
    if (present || !value) continue;
    snprintf(entries[i], sizeof entries[i], "%s=%s", OURS[i], value);
    more[count++] = entries[i];
  }
  more[count] = NULL;
  return syscall(SYS_execve, path, arguments, more);
}
