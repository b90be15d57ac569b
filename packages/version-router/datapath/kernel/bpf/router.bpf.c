/*
 * The router's three programs, one file per hook. They share the maps of maps.h, which are pinned, so that packets
 * keep flowing while the daemon is away. Loaded by ../pins.ts.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "packet.h"
#include "ip.h"
#include "mark.h"
#include "udp.h"
#include "tcp.h"
#include "icmp.h"
#include "neighbour.h"
#include "rate.h"
#include "tap_ingress.h"
#include "tap_egress.h"
#include "uplink_ingress.h"

char program_license[] SEC("license") = "GPL";
