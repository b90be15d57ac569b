#!/bin/busybox sh
# First program of a machine of the compliance suite; it takes the place of our own in the initramfs.
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /tmp

load() {
  while read -r module; do
    insmod "/modules/$module.ko" 2>/dev/null
  done <"$1"
}
load /modules/order
[ -e /sys/hypervisor/type ] && load /modules/order.xen

# Xen's disks and interfaces come a moment after their drivers.
there() { { [ -b /dev/vda ] || [ -b /dev/xvda ]; } && [ -e /sys/class/net/eth0 ]; }
tries=0
while ! there && [ "$tries" -lt 600 ]; do
  usleep 50000
  tries=$((tries + 1))
done
place=/dev/vda
[ -b /dev/xvda ] && place=/dev/xvda
fill=$place

word() { sed -n "s/.*vmtest\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
tasks=$(word tasks | tr , ' ')
who=$(word who)
. /work.sh
while :; do sleep 60; done
