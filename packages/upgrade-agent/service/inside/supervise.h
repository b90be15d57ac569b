/* One service, as long as its policy wants it: started, heard, started again, and ended in order. */
#ifndef VM_SUPERVISE_H
#define VM_SUPERVISE_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "log.h"
#include "policy.h"

/* Milliseconds between two blows at processes that were killed and are still there, and how many there are. */
#define KILL_EVERY_MS 100
#define KILLS_MOST 50

struct plan {
  struct policy policy;
  const char *command;
  const char *stop_command; /* NULL: SIGTERM instead */
  const char *directory;    /* that the commands run in */
  int64_t stop_ms;
};

enum phase { RUNNING, PAUSING, STOPPING, KILLING, LINGERING };

struct supervisor {
  const struct plan *plan;
  struct log log;
  struct past past;
  struct stream out, err;
  int out_to, err_to, signals;
  enum phase phase;
  pid_t service;     /* its first process, which leads a group; 0 once it has ended */
  pid_t group;       /* of the last one */
  pid_t stop_hook;   /* 0: none runs */
  int64_t due_ms;    /* when the phase has something to do; −1: never */
  int kills;
  int swept;         /* what a stopped service left behind was told to end, too */
};

static int64_t since_boot_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(struct supervisor *s, char kind, const char *format, long a, long b) {
  char text[64];
  int length = snprintf(text, sizeof text, format, a, b);
  log_write(&s->log, kind, text, (size_t)length);
}

static void service_ended(struct supervisor *s, int status);

/* Whatever is started here is orphaned to us, so that all of it can be found and ended. */
static pid_t spawn(struct supervisor *s, const char *command) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  setsid();
  /* Without its supervisor a service would run twice, once another one is there. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  if (chdir(s->plan->directory) < 0) _exit(126);
  dup2(s->out_to, STDOUT_FILENO);
  dup2(s->err_to, STDERR_FILENO);
  execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

/* A system that has no process to give counts as a service that ended. */
static void start_service(struct supervisor *s) {
  s->phase = RUNNING;
  s->due_ms = -1;
  pid_t pid = spawn(s, s->plan->command);
  if (pid < 0) {
    service_ended(s, W_EXITCODE(126, 0));
    return;
  }
  s->service = s->group = pid;
  say(s, 's', "%ld", s->service, 0);
}

/* To the service's group, and to whatever of it has left the group and was orphaned to us. */
static void signal_all(struct supervisor *s, int number) {
  char path[64], list[4096];
  if (s->group > 0) kill(-s->group, number);
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, list, sizeof list - 1);
  if (file >= 0) close(file);
  if (length <= 0) return;
  list[length] = 0;
  for (char *at = list, *end; ; at = end) {
    long pid = strtol(at, &end, 10);
    if (end == at) return;
    if (pid == s->stop_hook && number == SIGTERM) continue;
    if (getpgid((pid_t)pid) != s->group || s->group <= 0) kill((pid_t)pid, number);
  }
}

static void begin_stop(struct supervisor *s) {
  if (s->phase == STOPPING || s->phase == KILLING) return;
  int lives = s->phase != PAUSING;
  s->phase = STOPPING;
  s->due_ms = since_boot_ms() + s->plan->stop_ms;
  if (s->plan->stop_command != NULL && lives) s->stop_hook = spawn(s, s->plan->stop_command);
  if (s->stop_hook <= 0) signal_all(s, SIGTERM);
}

static void service_ended(struct supervisor *s, int status) {
  int clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  stream_read(&s->out, &s->log, LOG_BYTES_MAX);
  stream_read(&s->err, &s->log, LOG_BYTES_MAX);
  stream_flush(&s->out, &s->log);
  stream_flush(&s->err, &s->log);
  if (WIFSIGNALED(status)) say(s, 'x', "signal %ld", WTERMSIG(status), 0);
  else say(s, 'x', "status %ld", WEXITSTATUS(status), 0);
  s->service = 0;
  if (s->phase != RUNNING) return;
  struct decision decision = decide(&s->plan->policy, &s->past, clean, since_boot_ms());
  if (decision.verdict == VERDICT_ENDED) {
    s->phase = LINGERING;
    return;
  }
  /* What the last one left of itself would hold the ports of the next one. */
  signal_all(s, SIGKILL);
  if (decision.verdict == VERDICT_FAILED) {
    log_write(&s->log, 'f', "", 0);
    s->phase = KILLING;
    s->kills = 0;
    s->due_ms = since_boot_ms() + KILL_EVERY_MS;
    return;
  }
  say(s, 'r', "%ld %ld", (long)decision.delay_ms, s->past.count);
  s->phase = PAUSING;
  s->due_ms = since_boot_ms() + decision.delay_ms;
}

/* Returns whether any child is left. */
static int reap(struct supervisor *s) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) return 1;
    if (pid < 0) {
      /* The number may be somebody else's from now on. */
      s->group = 0;
      return 0;
    }
    if (pid == s->service) service_ended(s, status);
    if (pid != s->stop_hook) continue;
    s->stop_hook = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) signal_all(s, SIGTERM);
  }
}

/* A stop hook knows of the service; of what that has started beside itself it may not. */
static void sweep(struct supervisor *s) {
  if (s->phase != STOPPING || s->service > 0 || s->stop_hook > 0 || s->swept) return;
  s->swept = 1;
  signal_all(s, SIGTERM);
}

/* What the phase has to do now that its time has come. Returns whether to go on. */
static int due(struct supervisor *s) {
  if (s->phase == PAUSING) start_service(s);
  else if (s->phase == STOPPING) {
    log_write(&s->log, 'k', "", 0);
    s->phase = KILLING;
    s->kills = 0;
  }
  if (s->phase != KILLING) return 1;
  signal_all(s, SIGKILL);
  s->due_ms = since_boot_ms() + KILL_EVERY_MS;
  return s->kills++ < KILLS_MOST;
}

static void prepare(struct supervisor *s) {
  int out[2], err[2];
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) _exit(1);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  s->out = (struct stream){.kind = 'o', .from = out[0]};
  s->err = (struct stream){.kind = 'e', .from = err[0]};
  s->out_to = out[1];
  s->err_to = err[1];
}

/* Until the service has ended for good. Returns 0 unless it has failed. */
static int supervise(struct supervisor *s) {
  int failed = 0, stopped = 0;
  prepare(s);
  start_service(s);
  for (;;) {
    int64_t wait_ms = s->due_ms < 0 ? -1 : s->due_ms - since_boot_ms();
    struct pollfd watched[] = {{s->signals, POLLIN, 0}, {s->out.from, POLLIN, 0}, {s->err.from, POLLIN, 0}};
    poll(watched, 3, s->due_ms < 0 ? -1 : wait_ms < 0 ? 0 : (int)wait_ms);
    struct signalfd_siginfo heard;
    while (read(s->signals, &heard, sizeof heard) > 0) {
      if (heard.ssi_signo == SIGCHLD) continue;
      stopped = 1;
      begin_stop(s);
    }
    stream_read(&s->out, &s->log, 65536);
    stream_read(&s->err, &s->log, 65536);
    int left = reap(s);
    sweep(s);
    failed = failed || (s->phase == KILLING && !stopped);
    if (!left && s->phase != RUNNING && s->phase != PAUSING) break;
    if (s->due_ms >= 0 && since_boot_ms() >= s->due_ms && !due(s)) break;
  }
  if (stopped) log_write(&s->log, 't', "", 0);
  else if (!failed) log_write(&s->log, 'd', "", 0);
  return failed;
}

#endif
