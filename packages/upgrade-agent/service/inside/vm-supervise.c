/*
 * vm-supervise: keeps one service running inside a domain, whatever the domain is made of. The agent brings it over SSH;
 * it needs nothing but a kernel and /bin/sh, and outlives the agent and the SSH server.
 *
 *   vm-supervise start  [options]              starts the service in the background, unless it is supervised already;
 *                                              standard input holds its command and, if there is one, the command that
 *                                              stops it, each with a NUL at its end
 *   vm-supervise stop                          ends it in order; returns when it has ended
 *   vm-supervise follow NUMBER                 prints the log after that line and goes on; see log.h
 *   vm-supervise clock  [MILLISECONDS]         prints the time, milliseconds since 1970; or sets it forward (or back)
 *   vm-supervise decide [options]              reads "MILLISECONDS STATUS" of ends, prints what follows of each
 *
 * Options: --restart no|on-failure|always, --delay-ms, --delay-max-ms, --window-ms, --restarts-max, --stop-ms,
 * --directory DIRECTORY of the commands. VM_SUPERVISE_LOG is the directory of the log; else
 * /var/log/version-manager. Exit status: 0 done, 1 it failed, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "follow.h"
#include "supervise.h"

/* Bytes of both commands: twice what a manifest may hold, in the longest characters. */
#define COMMANDS_BYTES_MAX (64 * 1024 + 2)

/* A process that holds this file's lock is the supervisor. */
#define LOCK_FILE "supervisor.lock"

static int fail(const char *what) {
  fprintf(stderr, "vm-supervise: %s: %s\n", what, strerror(errno));
  return 1;
}

static int usage(const char *what) {
  fprintf(stderr, "vm-supervise: %s; its source says how it is used\n", what);
  return 2;
}

static int open_directory(void) {
  const char *path = getenv("VM_SUPERVISE_LOG");
  if (path == NULL) path = "/var/log/version-manager";
  mkdir("/var", 0755);
  mkdir("/var/log", 0755);
  mkdir(path, 0755);
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static struct flock whole_file(void) {
  return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static const struct option options[] = {
    {"restart", required_argument, NULL, 'r'},     {"delay-ms", required_argument, NULL, 'd'},
    {"delay-max-ms", required_argument, NULL, 'D'}, {"window-ms", required_argument, NULL, 'w'},
    {"restarts-max", required_argument, NULL, 'n'}, {"stop-ms", required_argument, NULL, 't'},
    {"directory", required_argument, NULL, 'c'},    {NULL, 0, NULL, 0},
};

/* Returns 0, or −1 when an option is wrong. */
static int read_plan(struct plan *plan, int count, char **words) {
  *plan = (struct plan){.policy = {RESTART_ON_FAILURE, 1000, 30000, 300000, 5}, .directory = "/", .stop_ms = 10000};
  for (int option; (option = getopt_long(count, words, "+", options, NULL)) != -1;) {
    int64_t number = optarg == NULL ? 0 : strtoll(optarg, NULL, 10);
    switch (option) {
      case 'r':
        if (strcmp(optarg, "no") == 0) plan->policy.restart = RESTART_NO;
        else if (strcmp(optarg, "on-failure") == 0) plan->policy.restart = RESTART_ON_FAILURE;
        else if (strcmp(optarg, "always") == 0) plan->policy.restart = RESTART_ALWAYS;
        else return -1;
        break;
      case 'd': plan->policy.delay_ms = number; break;
      case 'D': plan->policy.delay_max_ms = number; break;
      case 'w': plan->policy.window_ms = number; break;
      case 'n': plan->policy.restarts_max = (int)number; break;
      case 't': plan->stop_ms = number; break;
      case 'c': plan->directory = optarg; break;
      default: return -1;
    }
  }
  return plan->policy.restarts_max >= 0 && plan->policy.restarts_max <= RESTARTS_MOST ? 0 : -1;
}

/* Commands come this way because dropbear takes no longer command lines than one of them. Returns 0, or −1. */
static int read_commands(struct plan *plan) {
  static char text[COMMANDS_BYTES_MAX];
  size_t length = 0;
  for (ssize_t got; (got = read(STDIN_FILENO, text + length, sizeof text - length)) > 0;) length += (size_t)got;
  if (length == 0 || text[length - 1] != 0) return -1;
  plan->command = text;
  size_t first = strlen(text) + 1;
  if (first < length) plan->stop_command = text + first;
  return 0;
}

/* Nothing of whoever starts it stays open, so that an SSH session ends when it should. */
static void leave_terminal(void) {
  int nothing = open("/dev/null", O_RDWR);
  for (int to = 0; to <= 2; to++) dup2(nothing, to);
  if (nothing > 2) close(nothing);
}

/* The supervisor's own process. Tells through `ready` once it holds the lock. */
static void run_supervisor(const struct plan *plan, int directory, int ready) {
  static struct supervisor supervisor;
  setsid();
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  int lock = openat(directory, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct flock whole = whole_file();
  if (lock < 0 || fcntl(lock, F_SETLK, &whole) < 0) _exit(errno == EAGAIN || errno == EACCES ? 0 : 1);
  supervisor.plan = plan;
  if (log_open(&supervisor.log, directory) < 0) _exit(1);
  leave_terminal();
  if (write(ready, "1", 1) != 1) _exit(1);
  close(ready);
  _exit(supervise(&supervisor));
}

static int start(const struct plan *plan, int directory) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) < 0) return fail("pipe");
  pid_t pid = fork();
  if (pid < 0) return fail("fork");
  if (pid == 0) {
    close(ready[0]);
    run_supervisor(plan, directory, ready[1]);
  }
  close(ready[1]);
  char word;
  if (read(ready[0], &word, 1) == 1) return 0;
  int status;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  errno = EIO;
  return fail("the supervisor did not start");
}

/* The lock is free only when the supervisor has ended, which it does within the deadline of its plan. */
static int stop(int directory) {
  int lock = openat(directory, LOCK_FILE, O_RDWR | O_CLOEXEC);
  if (lock < 0) return errno == ENOENT ? 0 : fail(LOCK_FILE);
  struct flock holder = whole_file();
  if (fcntl(lock, F_GETLK, &holder) < 0) return fail(LOCK_FILE);
  if (holder.l_type == F_UNLCK) return 0;
  kill(holder.l_pid, SIGTERM);
  struct flock whole = whole_file();
  return fcntl(lock, F_SETLKW, &whole) < 0 ? fail(LOCK_FILE) : 0;
}

static int set_clock(const char *step) {
  int64_t to_ms = wall_ms() + strtoll(step, NULL, 10);
  struct timespec to = {.tv_sec = to_ms / 1000, .tv_nsec = to_ms % 1000 * 1000000};
  return clock_settime(CLOCK_REALTIME, &to) < 0 ? fail("clock") : 0;
}

static int show_decisions(const struct policy *policy) {
  static struct past past;
  long long now_ms, status;
  while (scanf("%lld %lld", &now_ms, &status) == 2) {
    struct decision decision = decide(policy, &past, status == 0, now_ms);
    if (decision.verdict == VERDICT_RESTART) printf("restart %lld\n", (long long)decision.delay_ms);
    else puts(decision.verdict == VERDICT_FAILED ? "failed" : "ended");
  }
  return 0;
}

int main(int count, char **words) {
  if (count < 2) return usage("say what to do");
  const char *what = words[1];
  if (strcmp(what, "clock") == 0) {
    if (count > 2) return set_clock(words[2]);
    return printf("%lld\n", (long long)wall_ms()) > 0 ? 0 : 1;
  }
  static struct plan plan;
  if (strcmp(what, "start") == 0 || strcmp(what, "decide") == 0) {
    if (read_plan(&plan, count - 1, words + 1) < 0) return usage("an option is wrong");
    if (*what == 'd') return show_decisions(&plan.policy);
    if (read_commands(&plan) < 0) return usage("standard input holds no command with a NUL at its end");
  }
  int directory = open_directory();
  if (directory < 0) return fail("the directory of the log");
  if (*what == 's' && plan.command != NULL) return start(&plan, directory);
  if (strcmp(what, "stop") == 0) return stop(directory);
  if (strcmp(what, "follow") == 0 && count == 3) return follow(directory, strtoull(words[2], NULL, 10));
  return usage("that is no command of it");
}
