/*
 * How much a domain may send and receive: a bucket for each direction, which fills with time. It is kept as one number,
 * the moment by which all that passed is paid for at the domain's rate, so nothing has to be filled. What would put that
 * moment further than a burst into the future is dropped. Domains without a rate have no business here.
 */
#pragma once

/*
 * The larger of these two may pass at once. A sender by TCP that lost the end of what it sent waits for 0.2 s; only if
 * what the rate gave it meanwhile is kept for it, it gets that rate. See docs/decisions/0013-rate-of-guests.md.
 */
#define BURST_BYTES (256 * 1024)
#define BURST_NS 250000000ULL
/* This share of a burst is left to the agent's SSH, which must get through to a domain that sends all it can. */
#define RESERVE 4
#define SSH_PORT bpf_htons(22)
/* Of Ethernet, IPv4 and TCP with timestamps: on the wire each part of a large packet has them. */
#define HEADER_BYTES 66

enum direction { SENDS, RECEIVES };

struct ssh_headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct ports_pair ports;
} __attribute__((packed));

/* And ARP, which it needs. */
static __always_inline int is_agents(struct __sk_buff *skb, __u32 direction)
{
	struct ssh_headers h;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return 1;
	if (skb->protocol != bpf_htons(ETH_P_IP) || load(skb, 0, &h, sizeof(h)) || h.ip.protocol != IPPROTO_TCP)
		return 0;
	return direction == SENDS ? h.ip.daddr == GATEWAY && h.ports.source == SSH_PORT
				  : h.ip.saddr == GATEWAY && h.ports.dest == SSH_PORT;
}

static __always_inline __u64 bytes_on_wire(const struct __sk_buff *skb)
{
	__u64 bytes = skb->len;
	return skb->gso_size ? bytes + bytes / skb->gso_size * HEADER_BYTES : bytes;
}

/*
 * Takes the packet's bytes out of the bucket, or says that there are not enough in it. Processors that come at the same
 * time take turns; one whose clock was read before another's turn is only judged a little more strictly.
 */
static __noinline int exceeds_rate(struct __sk_buff *skb, const struct slot *slot, __u32 number, __u32 direction)
{
	__u32 key = number * 2 + direction;
	struct bucket *bucket = lookup(buckets, &key);
	__u64 rate = slot->mbit_per_s;
	if (!bucket || !rate)
		return 0;
	/* A megabit per second is a byte in 8000 ns. Rounded up: the rate is never exceeded by many small packets. */
	__u64 cost = (bytes_on_wire(skb) * 8000 + rate - 1) / rate;
	__u64 burst = BURST_BYTES * 8000ULL / rate;
	if (burst < BURST_NS)
		burst = BURST_NS;
	if (!is_agents(skb, direction))
		burst -= burst / RESERVE;
	__u64 now = bpf_ktime_get_ns();
	bpf_spin_lock(&bucket->lock);
	__u64 paid = bucket->paid_ns > now ? bucket->paid_ns : now;
	int exceeds = paid + cost - now > burst;
	if (!exceeds)
		bucket->paid_ns = paid + cost;
	bpf_spin_unlock(&bucket->lock);
	return exceeds;
}

/* The one question for domains without a rate. */
static __always_inline int is_too_fast(struct __sk_buff *skb, const struct slot *slot, __u32 number, __u32 direction)
{
	return slot->mbit_per_s && exceeds_rate(skb, slot, number, direction);
}
