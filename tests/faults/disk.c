/* A disk that can lose power, fill up and fail, for one SQLite database of the process this is preloaded into.
 *
 * DISK_PATH names the database. What is written to it, its -wal and its -journal goes into the real files, as into the
 * system's page cache, and into a list of what is pending; fsync moves what is pending to the shadow in DISK_SHADOW,
 * which is what a power loss leaves. fsync that fails forgets what was pending, as Linux does: written again it counts,
 * synced again it does not. The -shm is memory. Names of files count as durable at once (SQLite syncs the directory).
 *
 * DISK_CONTROL is a file of numbers shared with the test, see `struct control`.
 */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct control {
    int64_t room;    /* Bytes by which files may still grow; negative: as many as they like. */
    int64_t calls;   /* How many calls there were. */
    int64_t fail_at; /* The first call that fails (EIO), counted from 1; 0: none. */
    int64_t fail_for; /* How many fail from there on. */
    int64_t failed;  /* How many did. */
    int64_t delay;   /* Microseconds that each sync takes longer. */
    int64_t idle;    /* Not 0: files that are opened or unlinked now are none of ours. */
};

struct record { int64_t offset, length; }; /* Then the bytes; of length -1: the file was cut at `offset`. */

enum { MAIN, WAL, JOURNAL, SHM, LOG, FILES, NONE = FILES };
static const char *const suffixes[] = {"", "-wal", "-journal", "-shm"};
static const char *const names[] = {"main", "wal", "journal"};

#define MOST 65536
static unsigned char file_of[MOST]; /* By descriptor; NONE - file, so that 0 is none. */
static int pending[SHM] = {-1, -1, -1};
static struct control *control;
static const char *path, *shadow;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int plain_open(const char *name, int flags) { REAL(int, open, const char *, int, ...); return real(name, flags, 0600); }
static ssize_t plain_write(int fd, const void *data, size_t n) { REAL(ssize_t, write, int, const void *, size_t); return real(fd, data, n); }
static ssize_t plain_read(int fd, void *data, size_t n) { REAL(ssize_t, read, int, void *, size_t); return real(fd, data, n); }
static ssize_t plain_pwrite(int fd, const void *data, size_t n, off_t at) { REAL(ssize_t, pwrite64, int, const void *, size_t, off_t); return real(fd, data, n, at); }
static ssize_t plain_pread(int fd, void *data, size_t n, off_t at) { REAL(ssize_t, pread64, int, void *, size_t, off_t); return real(fd, data, n, at); }
static int plain_truncate(int fd, off_t size) { REAL(int, ftruncate64, int, off_t); return real(fd, size); }
static int plain_close(int fd) { REAL(int, close, int); return real(fd); }
static int plain_unlink(const char *name) { REAL(int, unlink, const char *); return real(name); }

static void start(void) {
    path = getenv("DISK_PATH");
    shadow = getenv("DISK_SHADOW");
    const char *name = getenv("DISK_CONTROL");
    int fd = path && name ? plain_open(name, O_RDWR) : -1;
    if (fd < 0) { path = NULL; return; }
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    plain_close(fd);
    if (control == MAP_FAILED) { fputs("disk: no control\n", stderr); abort(); }
    if (getenv("DISK_LOG")) file_of[1] = file_of[2] = NONE - LOG;
}

static int known(const char *name) {
    pthread_once(&once, start);
    size_t length = path && !control->idle ? strlen(path) : 0;
    if (!length || !name || strncmp(name, path, length)) return NONE;
    for (int file = MAIN; file <= SHM; file++) if (!strcmp(name + length, suffixes[file])) return file;
    return NONE;
}

static int of(int fd) {
    pthread_once(&once, start);
    return fd >= 0 && fd < MOST ? NONE - file_of[fd] : NONE;
}

/* Held from here on: the mutex. */

static int fails(int file) {
    if (file == LOG) return 0;
    int64_t call = ++control->calls;
    if (!control->fail_at || call < control->fail_at || call >= control->fail_at + control->fail_for) return 0;
    control->failed++;
    errno = EIO;
    return 1;
}

static const char *shadow_name(int file, const char *end) {
    static char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s%s", shadow, names[file], end);
    return name;
}

static void put(int fd, const void *data, size_t n) {
    if (plain_write(fd, data, n) != (ssize_t)n) { fputs("disk: the shadow cannot be kept\n", stderr); abort(); }
}

static void note(int file, int64_t offset, int64_t length, const void *data) {
    if (!shadow || file >= SHM) return;
    if (pending[file] < 0) pending[file] = plain_open(shadow_name(file, ".pending"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC);
    struct record record = {offset, length};
    put(pending[file], &record, sizeof record);
    if (length > 0) put(pending[file], data, length);
}

static void settle(int file, int kept) {
    if (!shadow || file >= SHM || pending[file] < 0) return;
    int from = pending[file], to = plain_open(shadow_name(file, ""), O_RDWR | O_CREAT | O_CLOEXEC);
    struct record record;
    off_t at = 0;
    while (kept && plain_pread(from, &record, sizeof record, at) == sizeof record) {
        at += sizeof record;
        if (record.length < 0) { plain_truncate(to, record.offset); continue; }
        char *data = malloc(record.length);
        if (plain_pread(from, data, record.length, at) != record.length) abort();
        if (plain_pwrite(to, data, record.length, record.offset) != record.length) abort();
        free(data);
        at += record.length;
    }
    plain_close(to);
    plain_truncate(from, 0);
}

static size_t with_room(int fd, size_t n, off_t at) {
    if (control->room < 0) return n;
    struct stat found;
    off_t size = fstat(fd, &found) ? 0 : found.st_size;
    off_t more = at < 0 ? (off_t)n : at + (off_t)n - size; /* A log is only appended. */
    if (more <= 0) return n;
    if (more <= control->room) { control->room -= more; return n; }
    size_t kept = (off_t)n > more - control->room ? n - (more - control->room) : 0;
    control->room = 0;
    return kept;
}

static ssize_t store(int file, int fd, const void *data, size_t n, off_t at) {
    ssize_t stored = -1;
    pthread_mutex_lock(&mutex);
    if (!fails(file)) {
        size_t possible = with_room(fd, n, at);
        if (n && !possible) errno = ENOSPC;
        else if (file == LOG) stored = plain_write(fd, data, possible);
        else if ((stored = plain_pwrite(fd, data, possible, at)) > 0) note(file, at, stored, data);
    }
    pthread_mutex_unlock(&mutex);
    return stored;
}

static int synced(int file) {
    if (control->delay) usleep(control->delay);
    pthread_mutex_lock(&mutex);
    int failed = fails(file);
    settle(file, !failed);
    pthread_mutex_unlock(&mutex);
    return failed ? -1 : 0;
}

static int failing(int file) {
    pthread_mutex_lock(&mutex);
    int failed = fails(file);
    pthread_mutex_unlock(&mutex);
    return failed;
}

/* What the process calls. */

static int opened(int fd, int file) {
    if (fd >= 0 && fd < MOST) file_of[fd] = NONE - file;
    return fd;
}

#define OPEN(name, before, arguments, ...) \
    int name(__VA_ARGS__, int flags, ...) { \
        REAL(int, name, __VA_ARGS__, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        int file = known(before); \
        return file != NONE && failing(file) ? -1 : opened(real arguments, file); \
    }
OPEN(open, file_path, (file_path, flags, mode), const char *file_path)
OPEN(open64, file_path, (file_path, flags, mode), const char *file_path)
OPEN(openat, file_path, (folder, file_path, flags, mode), int folder, const char *file_path)
OPEN(openat64, file_path, (folder, file_path, flags, mode), int folder, const char *file_path)

int close(int fd) {
    if (fd > 2 && fd < MOST) file_of[fd] = 0;
    return plain_close(fd);
}

ssize_t write(int fd, const void *data, size_t n) {
    int file = of(fd);
    if (file == NONE) return plain_write(fd, data, n);
    if (file == LOG) return store(file, fd, data, n, -1);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t stored = store(file, fd, data, n, at);
    if (stored > 0) lseek(fd, at + stored, SEEK_SET);
    return stored;
}

#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t n, off_t at) { \
        int file = of(fd); \
        return file == NONE ? plain_pwrite(fd, data, n, at) : store(file, fd, data, n, at); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t read(int fd, void *data, size_t n) {
    int file = of(fd);
    return file != NONE && failing(file) ? -1 : plain_read(fd, data, n);
}

#define PREAD(name) \
    ssize_t name(int fd, void *data, size_t n, off_t at) { \
        int file = of(fd); \
        return file != NONE && failing(file) ? -1 : plain_pread(fd, data, n, at); \
    }
PREAD(pread)
PREAD(pread64)

#define TRUNCATE(name) \
    int name(int fd, off_t size) { \
        int file = of(fd); \
        if (file == NONE) return plain_truncate(fd, size); \
        pthread_mutex_lock(&mutex); \
        int result = fails(file) ? -1 : plain_truncate(fd, size); \
        if (!result) note(file, size, -1, NULL); \
        pthread_mutex_unlock(&mutex); \
        return result; \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        int file = of(fd); \
        return file == NONE ? real(fd) : synced(file); \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *name) {
    int file = known(name);
    if (file == NONE) return plain_unlink(name);
    pthread_mutex_lock(&mutex);
    int result = fails(file) ? -1 : plain_unlink(name);
    if (!result && shadow && file < SHM) {
        plain_unlink(shadow_name(file, ""));
        if (pending[file] >= 0) plain_truncate(pending[file], 0);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}
