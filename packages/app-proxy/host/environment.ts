/**
 * The environment of a proxy process. glibc would raise its thresholds as it sees large buffers freed, and keep what they
 * left in pieces. With fixed ones large buffers are mapped one by one and given back at once: in `scripts/bench soak` its
 * heap was 27 MiB instead of 58. What V8 keeps for itself is not touched. Other C libraries ignore this.
 */
export const HOST_ENVIRONMENT: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "131072",
};
