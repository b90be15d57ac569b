/* The state that programs and daemon share. Mirrored once in ../structs.ts; raise LAYOUT there with any change. */
#pragma once

#define SLOTS 64
#define SERVICE_NAME_BYTES 64

/* Of either family: IPv4 as ::ffff:a.b.c.d. No packet of IPv6 may bear such an address, so keys never meet. */
struct address {
	__be32 word[4];
};

struct config {
	__u32 layout;
	__u32 uplink; /* ifindex */
	__be32 address;
	struct address address6; /* zeros: the node has none */
	__u32 uplink_mtu;
	__u8 forwarding_was;  /* forwarding before us, for destroy: IPv4, IPv6 */
	__u8 forwarding6_was;
	__u8 accept_ra_was; /* of the uplink */
	__u8 pad;
};

struct slot {
	__u32 ifindex; /* 0: the slot is free */
	__u32 version;
	__u32 mbit_per_s; /* in each direction; 0: unbounded */
	__be32 management;
	struct address management6;
	__u16 tag;
	__u8 link; /* 1 tap, 2 veth */
	__u8 pad;
	__u8 guest_mac[6];
	__u8 host_mac[6];
	char service[SERVICE_NAME_BYTES];
};

struct domain_key {
	__u32 version;
	__u16 tag;
	__u16 pad;
};

enum client_path { PATH_NONE, PATH_DIRECT, PATH_PROXY, PATH_CLOSED };

struct service {
	__u32 advertisement; /* status over version; 0: the sender's own, as running */
	__u32 path_version;  /* with PATH_DIRECT */
	__u8 path;           /* enum client_path */
	__u8 open_to_unmanaged; /* peer ports serve nodes without Version Manager as if they were clients */
	__u8 pad[2];
	char name[SERVICE_NAME_BYTES];
};

struct port_key {
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

struct port {
	__u64 peer_slots; /* one bit per slot that registered it */
	__u64 client_slots;
	__u32 tag;
	__u32 pad;
};

struct flow_key {
	struct address remote;
	__be16 remote_port;
	__be16 local_port;
	__u8 protocol;
	__u8 pad[3];
};

enum flow_role { ROLE_PEER, ROLE_CLIENT };

/* REFUSED: the peer answered for another version. RESET: asked for by the daemon; each side learns by a RST. */
enum flow_state { FLOW_OPENING, FLOW_OPEN, FLOW_CLOSED, FLOW_REFUSED, FLOW_RESET };

/*
 * What a connection has shown. PROVEN: the remote end has acknowledged the domain's SYN, so that it is where it says;
 * before, the connection is in the table `tentative`, which anybody can fill, and afterwards in `flows`.
 */
enum flow_seen { SEEN_DOMAIN_FIN = 1, SEEN_REMOTE_FIN = 2, SEEN_DOMAIN_SYN = 4, SEEN_PROOF = 8 };

struct flow {
	__u64 last_seen_ns; /* CLOCK_MONOTONIC, to about a second */
	__u8 slot;
	__u8 state;
	__u8 role;
	__u8 seen; /* enum flow_seen */
	__u32 domain_syn; /* its sequence number */
};

struct heard_key {
	struct address peer;
	__u32 tag;
	__u32 version;
	__u32 advertisement;
};

/* What a domain may still send, or receive, at its rate; see rate.h. */
struct bucket {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 paid_ns; /* CLOCK_MONOTONIC: all that passed is paid for by then */
};

/* The names are in ../structs.ts in the same order. */
enum verdict {
	V_MARKED,
	V_DELIVERED,
	V_PEER_TCP_OUT,
	V_PEER_TCP_IN,
	V_CLIENT_IN,
	V_CLIENT_OUT,
	V_ICMP_ERROR,
	V_TRANSLATED,
	V_TO_HOST,
	V_SPOOFED,
	V_PRIVATE_ADDRESS,
	V_MALFORMED,
	V_FRAGMENT,
	V_IPV6,
	V_OTHER_PROTOCOL,
	V_OFFLOADED,
	V_TOO_BIG,
	V_NO_ROOM,
	V_TUPLE_IN_USE,
	V_NO_FLOW,
	V_UNMANAGED,
	V_UNMARKED,
	V_OPTION_STRIPPED,
	V_UNKNOWN_VERSION,
	V_WRONG_VERSION,
	V_PORT_NOT_REGISTERED,
	V_RESET,
	V_KERNEL_ERROR,
	V_EXTENSION_HEADER,
	V_RATE_EXCEEDED,
};

struct counter_key {
	__u32 version; /* 0 when it is not one of ours, so that strangers cannot fill the map */
	__u16 tag;
	__u16 verdict;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

#define MAP(name, kind, key_type, value_type, entries)                                                                 \
	struct {                                                                                                       \
		__uint(type, kind);                                                                                    \
		__type(key, key_type);                                                                                 \
		__type(value, value_type);                                                                             \
		__uint(max_entries, entries);                                                                          \
	} name SEC(".maps")

MAP(config, BPF_MAP_TYPE_ARRAY, __u32, struct config, 1);
MAP(slots, BPF_MAP_TYPE_ARRAY, __u32, struct slot, SLOTS);
MAP(buckets, BPF_MAP_TYPE_ARRAY, __u32, struct bucket, 128);           /* two for each slot */
MAP(interfaces, BPF_MAP_TYPE_HASH, __u32, __u32, SLOTS);              /* ifindex to slot */
MAP(domains, BPF_MAP_TYPE_HASH, struct domain_key, __u32, SLOTS);     /* to slot */
MAP(services, BPF_MAP_TYPE_HASH, __u32, struct service, 1024);        /* by tag */
MAP(ports, BPF_MAP_TYPE_HASH, struct port_key, struct port, 4096);
MAP(flows, BPF_MAP_TYPE_LRU_HASH, struct flow_key, struct flow, 65536);
MAP(tentative, BPF_MAP_TYPE_LRU_HASH, struct flow_key, struct flow, 65536);
MAP(heard, BPF_MAP_TYPE_LRU_HASH, struct heard_key, __u64, 4096);     /* to last heard, ns */
MAP(counters, BPF_MAP_TYPE_PERCPU_HASH, struct counter_key, struct counter, 8192);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct address);
	__type(value, __u32);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} managed SEC(".maps");

#define lookup(map, key) bpf_map_lookup_elem(&(map), key)

static __always_inline struct config *configuration(void)
{
	__u32 zero = 0;
	return lookup(config, &zero);
}

static __always_inline struct slot *slot_at(__u32 number)
{
	struct slot *slot = lookup(slots, &number);
	return slot && slot->ifindex ? slot : 0;
}

static __always_inline int allows_unmanaged(__u32 tag)
{
	struct service *service = lookup(services, &tag);
	return service && service->open_to_unmanaged;
}

static __always_inline int is_open_to(__u32 tag, const struct address *remote)
{
	return !bpf_map_lookup_elem(&managed, remote) && allows_unmanaged(tag);
}

#include "peers.h"
#include "trace.h"

/* Counts, and gives `action` back, so that a caller can write `return count(…, TC_ACT_SHOT)`. */
static __noinline int count(struct __sk_buff *skb, const struct slot *slot, __u16 verdict, int action)
{
	struct counter_key key = {.verdict = verdict};
	if (slot) {
		key.tag = slot->tag;
		key.version = slot->version;
	}
	struct counter *counter = lookup(counters, &key);
	if (!counter) {
		struct counter zero = {};
		bpf_map_update_elem(&counters, &key, &zero, BPF_NOEXIST);
		counter = lookup(counters, &key);
	}
	if (counter) {
		counter->packets += 1;
		counter->bytes += skb->len;
	}
	count_peer(skb, key.version, key.tag, verdict);
	trace_verdict(skb, key.version, key.tag, verdict);
	return action;
}

/* For what belongs to no slot. Strangers name any tag they like: only those of services that run here are counted. */
static __always_inline int count_tag(struct __sk_buff *skb, __u16 tag, __u16 verdict, int action)
{
	__u32 key = tag;
	struct slot stranger = {.tag = lookup(services, &key) ? tag : 0};
	return count(skb, &stranger, verdict, action);
}
