/*
 * The live view of verdicts. While the daemon asks for it, each program copies what it was given before it changes
 * anything, and the place that counts verdicts queues that copy. While nobody asks, this costs one look at a flag.
 */
#pragma once

#define TRACE_QUEUE_ENTRIES 8192

enum trace_hook { HOOK_TAP_INGRESS, HOOK_TAP_EGRESS, HOOK_UPLINK_INGRESS };

/* What is asked for; a field of 0 asks for anything, so verdicts are numbered from 1. */
struct tracing {
	__u64 since_ns; /* CLOCK_MONOTONIC: what a processor kept of an earlier time is not shown */
	__u64 until_ns; /* a daemon that was killed leaves no tracing behind; 0: nobody asks */
	__u8 peer[16];  /* either end; IPv4 as ::ffff:a.b.c.d */
	__u32 version;  /* that is counted for, or in the mark */
	__u16 tag;      /* the same */
	__u16 verdict;  /* and one */
	__be16 port;    /* of either end */
	__u8 protocol;
	__u8 pad[5];
};

struct trace_record {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u8 source[16]; /* as the packet came; IPv4 as ::ffff:a.b.c.d */
	__u8 destination[16];
	__u32 ifindex;
	__u32 bytes; /* of the frame */
	__u32 version; /* that is counted for, as tag; 0: none of ours */
	__u32 mark_version; /* 0: no mark */
	__u32 mark_advertisement;
	__u16 tag;
	__u16 mark_tag;
	__be16 source_port;
	__be16 destination_port;
	__u16 verdict;
	__be16 ethertype;
	__u8 hook; /* enum trace_hook */
	__u8 protocol;
	__u8 flags; /* byte 13 of a TCP header */
	__u8 pad[5];
};

MAP(tracing, BPF_MAP_TYPE_ARRAY, __u32, struct tracing, 1);
MAP(trace_packet, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct trace_record, 1); /* the one being judged */
MAP(trace_lost, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);                 /* found no room in the queue */

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, struct trace_record);
	__uint(max_entries, TRACE_QUEUE_ENTRIES);
} trace_queue SEC(".maps");

static __always_inline struct tracing *tracing_asked(void)
{
	__u32 zero = 0;
	struct tracing *asked = lookup(tracing, &zero);
	return asked && asked->until_ns ? asked : 0;
}

static __always_inline struct trace_record *traced_packet(void)
{
	__u32 zero = 0;
	return lookup(trace_packet, &zero);
}

static __always_inline void trace_ports(struct __sk_buff *skb, struct trace_record *record, __u32 offset)
{
	__be16 ports[2];
	if (record->protocol != IPPROTO_TCP && record->protocol != IPPROTO_UDP)
		return;
	if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
		return;
	record->source_port = ports[0];
	record->destination_port = ports[1];
	if (record->protocol == IPPROTO_TCP)
		bpf_skb_load_bytes(skb, offset + 13, &record->flags, sizeof(record->flags));
}

static __always_inline void trace_ipv4(struct __sk_buff *skb, struct trace_record *record)
{
	struct iphdr ip;
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)))
		return;
	record->source[10] = record->source[11] = record->destination[10] = record->destination[11] = 0xff;
	__builtin_memcpy(record->source + 12, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(record->destination + 12, &ip.daddr, sizeof(ip.daddr));
	record->protocol = ip.protocol;
	if (!(ip.frag_off & bpf_htons(0x1fff)))
		trace_ports(skb, record, sizeof(struct ethhdr) + ip.ihl * 4);
}

static __always_inline void trace_ipv6(struct __sk_buff *skb, struct trace_record *record)
{
	struct ipv6hdr ip;
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)))
		return;
	__builtin_memcpy(record->source, &ip.saddr, sizeof(record->source));
	__builtin_memcpy(record->destination, &ip.daddr, sizeof(record->destination));
	record->protocol = ip.nexthdr;
	trace_ports(skb, record, sizeof(struct ethhdr) + sizeof(ip));
}

static __noinline int copy_for_trace(struct __sk_buff *skb, __u32 hook)
{
	struct trace_record *record = traced_packet();
	if (!record)
		return 0;
	__builtin_memset(record, 0, sizeof(*record));
	record->time_ns = bpf_ktime_get_ns();
	record->ifindex = skb->ifindex;
	record->bytes = skb->len;
	record->hook = hook;
	bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &record->ethertype, sizeof(record->ethertype));
	if (record->ethertype == bpf_htons(ETH_P_IP))
		trace_ipv4(skb, record);
	else if (record->ethertype == bpf_htons(ETH_P_IPV6))
		trace_ipv6(skb, record);
	return 0;
}

/* First thing in each program. */
static __always_inline void trace_begin(struct __sk_buff *skb, __u32 hook)
{
	if (tracing_asked())
		copy_for_trace(skb, hook);
}

/* A mark that this packet has, or is given. */
static __always_inline void trace_mark(__u16 tag, __u32 version, __u32 advertisement)
{
	struct trace_record *record = tracing_asked() ? traced_packet() : 0;
	if (!record)
		return;
	record->mark_tag = tag;
	record->mark_version = version;
	record->mark_advertisement = advertisement;
}

static __always_inline int is_other(__u32 asked, __u32 counted, __u32 marked)
{
	return asked && asked != counted && asked != marked;
}

static __always_inline int is_address(const __u8 *address, const __u8 *wanted)
{
	for (int i = 0; i < 16; i++) {
		if (address[i] != wanted[i])
			return 0;
	}
	return 1;
}

/* A peer's address never ends in four zero bytes. */
static __always_inline int has_end(const struct tracing *asked, const struct trace_record *record)
{
	int any = !(asked->peer[12] | asked->peer[13] | asked->peer[14] | asked->peer[15]);
	return any || is_address(record->source, asked->peer) || is_address(record->destination, asked->peer);
}

static __always_inline int is_asked_for(const struct tracing *asked, const struct trace_record *record)
{
	if (is_other(asked->version, record->version, record->mark_version) ||
	    is_other(asked->tag, record->tag, record->mark_tag) ||
	    is_other(asked->port, record->source_port, record->destination_port))
		return 0;
	if (asked->verdict && asked->verdict != record->verdict + 1)
		return 0;
	return (!asked->protocol || asked->protocol == record->protocol) && has_end(asked, record);
}

static __noinline int queue_for_trace(struct __sk_buff *skb, __u32 version, __u32 tag, __u32 verdict)
{
	struct tracing *asked = tracing_asked();
	struct trace_record *record = traced_packet();
	__u32 zero = 0;
	if (!asked || !record || !skb || record->time_ns < asked->since_ns || record->time_ns > asked->until_ns)
		return 0;
	record->version = version;
	record->tag = tag;
	record->verdict = verdict;
	if (!is_asked_for(asked, record) || !bpf_map_push_elem(&trace_queue, record, 0))
		return 0;
	__u64 *lost = lookup(trace_lost, &zero);
	if (lost)
		*lost += 1;
	return 0;
}

/* Whenever a verdict is counted. */
static __always_inline void trace_verdict(struct __sk_buff *skb, __u32 version, __u16 tag, __u16 verdict)
{
	if (tracing_asked())
		queue_for_trace(skb, version, tag, verdict);
}
