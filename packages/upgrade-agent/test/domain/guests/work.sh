# What a guest of the compliance suite does: the tasks in $tasks, one after the other, each telling what it found on a
# line of its own. $place is where it marks its disk and $fill what it fills; applets are busybox's.
say() { echo "vmtest $*"; }

# Hundredths of a second.
now() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }

facts() {
  say cpus "$(grep -c ^processor /proc/cpuinfo)"
  say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
  for name in $(ls /sys/class/net); do
    [ "$name" = lo ] || say link "$(cat "/sys/class/net/$name/address")"
  done
}

# Takes memory until somebody stops it.
hog() {
  awk 'BEGIN { while (1) a[i++] = sprintf("%1000000d", i) }' >/dev/null 2>&1
  say hog "$?"
}

# Processor time that three busy loops got, as the shell's "times" gives it, and hundredths of a second that passed.
spin() {
  began=$(now)
  for loop in 1 2 3; do timeout 2 sh -c 'while :; do :; done' & done
  wait
  times >/tmp/times
  say spin "$(tail -n 1 /tmp/times)" "$(($(now) - began))"
}

# What is at the beginning of the disk, before and after a mark of one's own.
mark() {
  say before "$(head -c 16 "$place" | tr -d '\0')"
  printf '%-16s' "$who" | dd of="$place" conv=notrunc,fsync 2>/dev/null
  say after "$(head -c 16 "$place" | tr -d '\0 ')"
}

# Milliseconds for 16 MiB of the disk.
read16() {
  began=$(now)
  dd if="$place" of=/dev/null bs=1M count=16 2>/dev/null
  say read "$((($(now) - began) * 10))"
}

fillup() {
  dd if=/dev/zero of="$fill" bs=1M 2>/tmp/filled
  say fill "$?" "$(grep -o 'No space left' /tmp/filled)" "$(sed -n 's/^\([0-9]*\) bytes.*/\1/p' /tmp/filled)"
}

# Prints without end, 64 KiB at a time.
flood() {
  say flooding
  while :; do
    head -c 65536 /dev/zero | tr '\0' x
    echo
  done
}

# Ends when it is asked to: a container's process 1 by a signal, a machine by its power button, a guest of Xen by what
# its kernel runs then.
heed() {
  trap 'say heeds the request; exit 0' TERM
  [ -d /modules ] || return
  mkdir -p /etc/acpi/PWRF
  printf '#!/bin/busybox sh\necho vmtest heeds the request >/dev/console\npoweroff -f\n' >/etc/acpi/PWRF/00000080
  chmod 755 /etc/acpi/PWRF/00000080
  echo /etc/acpi/PWRF/00000080 >/proc/sys/kernel/poweroff_cmd
  acpid -c /etc/acpi -l /tmp/acpid
}

# Sends and takes all it can from now on, through the only link that there is.
talk() {
  for name in $(ls /sys/class/net); do [ "$name" = lo ] || dev=$name; done
  ip address add 10.77.0.1/32 dev "$dev"
  ip link set "$dev" up
  ip route add 169.254.1.1 dev "$dev" scope link
  ip route add default via 169.254.1.1
  while :; do
    nc 10.77.0.2 9000 </dev/zero
    sleep 1
  done >/dev/null 2>&1 &
  while :; do
    sleep 3600 | nc 10.77.0.2 9001
    sleep 1
  done >/dev/null 2>&1 &
  say talks
}

# Counts without end, and says at each number since which boot it does. Lines have an end that shows, for a machine that
# is saved may be about to say one.
count() {
  boot=$(cat /proc/sys/kernel/random/boot_id)
  number=0
  while :; do
    number=$((number + 1))
    say count "$boot" "$number" so far
    usleep 50000
  done
}

for task in $tasks; do "$task"; done
say done
