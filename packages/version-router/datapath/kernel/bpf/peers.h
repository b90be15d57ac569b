/* Verdicts by managed peer. Strangers have no place here: they can take any address, and would push peers out. */
#pragma once

struct peer_key {
	__u8 peer[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u32 version; /* as in counter_key */
	__u16 tag;
	__u16 verdict;
};

struct peer_counter {
	__u64 packets;
	__u64 bytes;
	__u64 last_seen_ns; /* CLOCK_MONOTONIC */
};

MAP(peer_counters, BPF_MAP_TYPE_LRU_PERCPU_HASH, struct peer_key, struct peer_counter, 8192);

/* Who is at the other end, for all of this packet's verdicts; zeros: nobody yet. Kept with the packet itself. */
static __always_inline void forget_peer(struct __sk_buff *skb)
{
	skb->cb[0] = skb->cb[1] = skb->cb[2] = skb->cb[3] = 0;
}

static __always_inline void remember_peer(struct __sk_buff *skb, const struct address *peer)
{
	skb->cb[0] = peer->word[0];
	skb->cb[1] = peer->word[1];
	skb->cb[2] = peer->word[2];
	skb->cb[3] = peer->word[3];
}

static __noinline int count_for_peer(struct __sk_buff *skb, __u32 version, __u32 tag, __u32 verdict)
{
	struct address peer = {{skb->cb[0], skb->cb[1], skb->cb[2], skb->cb[3]}};
	if (!(peer.word[2] | peer.word[3]))
		return 0;
	struct peer_key key = {.version = version, .tag = tag, .verdict = verdict};
	__builtin_memcpy(key.peer, &peer, sizeof(key.peer));
	struct peer_counter *counter = lookup(peer_counters, &key);
	if (!counter) {
		struct peer_counter zero = {};
		/* Once it is here it was managed: the more expensive look at that table is for new ones only. */
		if (!lookup(managed, &peer))
			return 0;
		bpf_map_update_elem(&peer_counters, &key, &zero, BPF_NOEXIST);
		counter = lookup(peer_counters, &key);
	}
	if (counter) {
		counter->packets += 1;
		counter->bytes += skb->len;
		counter->last_seen_ns = bpf_ktime_get_coarse_ns();
	}
	return 0;
}

/* What passes between a domain and clients or the host has no peer. */
static __always_inline void count_peer(struct __sk_buff *skb, __u32 version, __u16 tag, __u16 verdict)
{
	if (verdict != V_CLIENT_IN && verdict != V_CLIENT_OUT && verdict != V_TRANSLATED && verdict != V_TO_HOST)
		count_for_peer(skb, version, tag, verdict);
}
