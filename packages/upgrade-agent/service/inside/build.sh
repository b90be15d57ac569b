#!/bin/sh
# Compiles vm-supervise into dist, which is what is shipped: static, because nothing is known of the domains it is
# brought into. Idempotent; does nothing when the program is newer than every source.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=$here/../../dist/service/inside/vm-supervise

fail() {
  echo "build.sh: $1" >&2
  exit 1
}

[ -e "$program" ] && [ -z "$(find "$here" -newer "$program" -type f)" ] && exit 0
command -v clang >/dev/null || fail "clang is missing; apt-get install clang"
mkdir -p "$(dirname "$program")"
clang -static -Os -s -Wall -Wextra -Werror "$here/vm-supervise.c" -o "$program.new" ||
  fail "the C library to link with may be missing; apt-get install libc6-dev"
mv "$program.new" "$program"
