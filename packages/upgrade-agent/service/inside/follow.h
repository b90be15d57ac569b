/* Prints the log from a number on, and what is added, until nobody reads it any more. */
#ifndef VM_FOLLOW_H
#define VM_FOLLOW_H

#include <poll.h>

#include "log.h"

/* Milliseconds between two looks; and bytes printed per look, so that a service that floods its log floods no more. */
#define LOOK_EVERY_MS 200
#define LOOK_BYTES_MAX (64 * 1024)

struct reader {
  uint64_t after; /* lines up to this number are known */
  int file;       /* −1: none is open */
  char line[HEAD_BYTES_MAX + TEXT_BYTES_MAX + 2];
  size_t length;
};

static int print_all(const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, text, length);
    if (written <= 0) return -1;
    text += written;
    length -= (size_t)written;
  }
  return 0;
}

static int take_line(struct reader *reader) {
  reader->line[reader->length] = 0;
  uint64_t number = strtoull(reader->line, NULL, 10);
  size_t length = reader->length;
  reader->length = 0;
  if (number <= reader->after) return 0;
  reader->after = number;
  reader->line[length] = '\n';
  return print_all(reader->line, length + 1);
}

/* Prints of the open file what is new. Returns bytes read, 0 at its end, −1 when nobody reads what is printed. */
static ssize_t read_on(struct reader *reader) {
  char chunk[LOOK_BYTES_MAX];
  ssize_t length = read(reader->file, chunk, sizeof chunk);
  for (ssize_t i = 0; i < length; i++) {
    if (chunk[i] == '\n') {
      if (take_line(reader) < 0) return -1;
    } else if (reader->length < sizeof reader->line - 2) {
      reader->line[reader->length++] = chunk[i];
    }
  }
  return length < 0 ? 0 : length;
}

static void open_log(struct reader *reader, int directory, const char *name) {
  if (reader->file >= 0) close(reader->file);
  reader->file = openat(directory, name, O_RDONLY | O_CLOEXEC);
  reader->length = 0;
}

static int was_turned(const struct reader *reader, int directory) {
  struct stat ours, theirs;
  if (fstatat(directory, LOG_FILE, &theirs, 0) < 0) return 0;
  return reader->file < 0 || (fstat(reader->file, &ours) == 0 && ours.st_ino != theirs.st_ino);
}

static int nobody_reads(void) {
  struct pollfd output = {.fd = STDOUT_FILENO, .events = 0};
  return poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

/* A number beyond the last one is of a log that is no more: everything is printed then. */
static int follow(int directory, uint64_t after) {
  static struct reader reader;
  reader.after = after > last_number(directory) ? 0 : after;
  reader.file = -1;
  open_log(&reader, directory, OLD_LOG_FILE);
  while (reader.file >= 0) {
    ssize_t length = read_on(&reader);
    if (length < 0) return 0;
    if (length == 0) break;
  }
  open_log(&reader, directory, LOG_FILE);
  while (!nobody_reads()) {
    /* Whether there is a newer file is asked before the old one is read to its end: nothing comes to that one later. */
    int turned = was_turned(&reader, directory);
    ssize_t length = reader.file < 0 ? 0 : read_on(&reader);
    if (length < 0) return 0;
    if (length == 0 && turned) {
      open_log(&reader, directory, LOG_FILE);
      continue;
    }
    poll(NULL, 0, LOOK_EVERY_MS);
  }
  return 0;
}

#endif
