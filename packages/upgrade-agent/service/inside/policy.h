/*
 * When a service that ended is started again. Pure: the past and the time go in, the decision comes out. Every restart
 * is remembered for `window_ms`; each one that is remembered doubles the pause before the next, and when `restarts_max`
 * are remembered the service has failed. A service that then runs quietly for a window starts over with the short pause.
 */
#ifndef VM_POLICY_H
#define VM_POLICY_H

#include <stdint.h>

#define RESTARTS_MOST 100

enum restart { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS };

struct policy {
  enum restart restart;
  int64_t delay_ms, delay_max_ms, window_ms;
  int restarts_max; /* 0…RESTARTS_MOST */
};

/* Times of the restarts that still count, oldest first, milliseconds of a clock that never goes back. */
struct past {
  int64_t at_ms[RESTARTS_MOST];
  int count;
};

enum verdict { VERDICT_ENDED, VERDICT_FAILED, VERDICT_RESTART };

struct decision {
  enum verdict verdict;
  int64_t delay_ms; /* with VERDICT_RESTART */
};

static void forget_old(struct past *past, const struct policy *policy, int64_t now_ms) {
  int old = 0;
  while (old < past->count && now_ms - past->at_ms[old] >= policy->window_ms) old++;
  for (int i = old; i < past->count; i++) past->at_ms[i - old] = past->at_ms[i];
  past->count -= old;
}

/* `clean`: exit status 0. A restart that is decided on is remembered in `past`. */
static struct decision decide(const struct policy *policy, struct past *past, int clean, int64_t now_ms) {
  if (clean && policy->restart != RESTART_ALWAYS) return (struct decision){VERDICT_ENDED, 0};
  if (policy->restart == RESTART_NO) return (struct decision){VERDICT_FAILED, 0};
  forget_old(past, policy, now_ms);
  if (past->count >= policy->restarts_max) return (struct decision){VERDICT_FAILED, 0};
  int64_t delay_ms = policy->delay_ms;
  for (int i = 0; i < past->count && delay_ms < policy->delay_max_ms; i++) delay_ms *= 2;
  if (delay_ms > policy->delay_max_ms) delay_ms = policy->delay_max_ms;
  past->at_ms[past->count++] = now_ms;
  return (struct decision){VERDICT_RESTART, delay_ms};
}

#endif
