/**
 * The environment of a proxy process. glibc would raise its thresholds as it sees large buffers freed, keep what they
 * left in pieces, and grow by a hundred MiB in a day of slow readers of large replies (`scripts/bench soak`). With fixed
 * ones large buffers are mapped one by one and given back at once. Other C libraries ignore this.
 */
export const HOST_ENVIRONMENT: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "131072",
};
