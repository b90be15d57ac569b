#!/bin/sh
# Compiles the eBPF programs: router.bpf.o beside the source (for runs from source) and in dist (what is shipped).
# Idempotent; does nothing when the object is newer than every source.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
object=$here/router.bpf.o
shipped=$here/../../../dist/datapath/kernel/bpf

fail() {
  echo "build.sh: $1" >&2
  exit 1
}

if [ ! -e "$object" ] || [ -n "$(find "$here" -newer "$object" \( -name '*.h' -o -name '*.c' -o -name build.sh \))" ]; then
  command -v clang >/dev/null || fail "clang is missing; apt-get install clang"
  [ -e /usr/include/bpf/bpf_helpers.h ] || fail "bpf/bpf_helpers.h is missing; apt-get install libbpf-dev"
  [ -e /usr/include/linux/bpf.h ] || fail "linux/bpf.h is missing; apt-get install linux-libc-dev"
  # asm/types.h lies in the directory of the machine's own triplet, which the bpf target does not search.
  clang -O2 -g -Wall -Wextra -Werror -target bpf -I"/usr/include/$(uname -m)-linux-gnu" \
    -c "$here/router.bpf.c" -o "$object.new"
  mv "$object.new" "$object"
fi

mkdir -p "$shipped"
cmp -s "$object" "$shipped/router.bpf.o" || cp "$object" "$shipped/router.bpf.o"
