/*
 * What the service says and what happens to it, as numbered lines in two files of bounded size:
 *
 *   NUMBER MILLISECONDS KIND TEXT
 *
 * The number grows by one with every line, also over lives of the supervisor and of the domain, so that a reader knows
 * where it was and how much it has missed. MILLISECONDS are since 1970. KIND is one letter:
 *
 *   o, e   a line of standard output or standard error; one that is too long comes in several
 *   s      started; TEXT is the process's number
 *   x      ended; TEXT is "status N" or "signal N"
 *   r      will be started again; TEXT is "MILLISECONDS-OF-PAUSE RESTARTS-THAT-COUNT"
 *   d      has ended and the policy wants no restart
 *   f      has failed: the policy's restarts are used up
 *   t      was stopped as asked; k: it was killed, because it did not stop in time
 */
#ifndef VM_LOG_H
#define VM_LOG_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Bytes of each of the two files; a reader that is away for longer than they last misses the oldest lines. */
#define LOG_BYTES_MAX (256 * 1024)
/* Bytes of a line's text. */
#define TEXT_BYTES_MAX 4096
/* Bytes that number, time and kind take at most. */
#define HEAD_BYTES_MAX 64

#define LOG_FILE "service.log"
#define OLD_LOG_FILE "service.log.1"

struct log {
  int directory; /* that the files are in */
  int file;
  int64_t bytes;
  uint64_t number; /* of the last line */
};

static int64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Number of the last whole line in a file; 0 when there is none. */
static uint64_t last_number_in(int directory, const char *name) {
  static char tail[2 * (TEXT_BYTES_MAX + HEAD_BYTES_MAX) + 1];
  int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  off_t bytes = lseek(file, 0, SEEK_END);
  off_t from = bytes > (off_t)sizeof tail - 1 ? bytes - (off_t)sizeof tail + 1 : 0;
  ssize_t length = pread(file, tail, sizeof tail - 1, from);
  close(file);
  if (length <= 0) return 0;
  /* A line that was cut off by a crash has no end; the one before it counts. */
  while (length > 0 && tail[length - 1] != '\n') length--;
  if (length == 0) return 0;
  tail[length - 1] = 0;
  char *start = strrchr(tail, '\n');
  return strtoull(start == NULL ? tail : start + 1, NULL, 10);
}

static uint64_t last_number(int directory) {
  uint64_t number = last_number_in(directory, LOG_FILE);
  return number != 0 ? number : last_number_in(directory, OLD_LOG_FILE);
}

/* Returns 0, or -1 with errno. */
static int log_open(struct log *log, int directory) {
  log->directory = directory;
  log->number = last_number(directory);
  log->file = openat(directory, LOG_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (log->file < 0) return -1;
  log->bytes = lseek(log->file, 0, SEEK_END);
  char end = '\n';
  if (log->bytes > 0 && pread(log->file, &end, 1, log->bytes - 1) == 1 && end != '\n')
    log->bytes += write(log->file, "\n", 1);
  return 0;
}

static void log_turn(struct log *log) {
  if (renameat(log->directory, LOG_FILE, log->directory, OLD_LOG_FILE) < 0) return;
  int file = openat(log->directory, LOG_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  close(log->file);
  log->file = file;
  log->bytes = 0;
}

/* One write per line, so that a reader finds whole ones. A disk that is full loses lines, and never the service. */
static void log_write(struct log *log, char kind, const char *text, size_t length) {
  char line[HEAD_BYTES_MAX + TEXT_BYTES_MAX + 1];
  if (length > TEXT_BYTES_MAX) length = TEXT_BYTES_MAX;
  log->number++;
  int head = snprintf(line, HEAD_BYTES_MAX, "%llu %lld %c ", (unsigned long long)log->number, (long long)wall_ms(), kind);
  memcpy(line + head, text, length);
  line[head + length] = '\n';
  ssize_t whole = head + (ssize_t)length + 1;
  if (log->bytes + whole > LOG_BYTES_MAX) log_turn(log);
  ssize_t written = write(log->file, line, whole);
  if (written > 0) log->bytes += written;
}

/* Output of one stream on its way into the log, a line at a time. */
struct stream {
  char kind;
  int from; /* read end of the pipe */
  char text[TEXT_BYTES_MAX];
  size_t length;
};

static void stream_flush(struct stream *stream, struct log *log) {
  if (stream->length > 0) log_write(log, stream->kind, stream->text, stream->length);
  stream->length = 0;
}

/* Takes what is there, at most `bytes_max`, so that no stream keeps the supervisor from its other work. */
static void stream_read(struct stream *stream, struct log *log, size_t bytes_max) {
  char chunk[16384];
  while (bytes_max > 0) {
    ssize_t length = read(stream->from, chunk, sizeof chunk);
    if (length <= 0) return;
    for (ssize_t i = 0; i < length; i++) {
      if (chunk[i] == '\n' && stream->length == 0) log_write(log, stream->kind, "", 0);
      else if (chunk[i] == '\n') stream_flush(stream, log);
      else {
        if (stream->length == TEXT_BYTES_MAX) stream_flush(stream, log);
        stream->text[stream->length++] = chunk[i];
      }
    }
    bytes_max -= (size_t)length < bytes_max ? (size_t)length : bytes_max;
  }
}

#endif
