/* The option of SYN and SYN-ACK, resets, and the tables that carry a connection's version from there on. */
#pragma once

#define SECOND_NS 1000000000ull
#define UDP_IDLE_NS (30 * SECOND_NS)
/* Linux repeats a SYN for 63 s, an answer for less: what nothing has followed for so long is forgotten. */
#define OPENING_IDLE_NS (70 * SECOND_NS)
/* Stray segments of a closed connection live for so long (TIME_WAIT): no other version gets its place before. */
#define QUARANTINE_NS (60 * SECOND_NS)

/* `packet` is first read, then handed on: a reset turns it round. */
struct segment {
	struct packet *packet;
	struct tcphdr tcp;
};

/* Too short a header, or flags that open and end a connection at once: no stack takes such a segment. */
static __always_inline int is_absurd(const struct tcphdr *tcp)
{
	return tcp->doff < 5 || (tcp->syn && (tcp->fin || tcp->rst));
}

/* The third word of the header past the sequence numbers: data offset, flags, window, as one for checksums. */
static __always_inline int grow_header(struct __sk_buff *skb, const struct segment *s)
{
	struct tcphdr grown = s->tcp;
	grown.doff += MARK_BYTES / 4;
	__be16 from, to;
	__builtin_memcpy(&from, (const __u8 *)&s->tcp + 12, sizeof(from));
	__builtin_memcpy(&to, (const __u8 *)&grown + 12, sizeof(to));
	if (bpf_l4_csum_replace(skb, s->packet->l4 + TCP_CHECK, from, to, sizeof(to)))
		return -1;
	return bpf_skb_store_bytes(skb, s->packet->l4 + 12, &to, sizeof(to), 0);
}

/* False when the header is full or data follows it. */
static __always_inline int has_room(const struct segment *s)
{
	__u32 header = s->tcp.doff * 4;
	return s->packet->l4_bytes == header &&
	       header + MARK_BYTES <= sizeof(s->tcp) + TCP_OPTION_BYTES_MAX;
}

/* Only where there is room. */
static __always_inline int add_option(struct __sk_buff *skb, const struct slot *slot, const struct segment *s)
{
	__u32 header = s->tcp.doff * 4, l4 = s->packet->l4;
	struct tcp_mark option = {
		.kind = OPTION_KIND,
		.length = MARK_BYTES,
		.exid = MARK_MAGIC,
		.sender = sender_word(slot),
		.advertisement = advertisement_word(slot),
		.tag = bpf_htons(slot->tag),
	};
	trace_mark(slot->tag, slot->version, bpf_ntohl(option.advertisement));
	if (bpf_skb_change_tail(skb, l4 + header + MARK_BYTES, 0))
		return -1;
	if (bpf_skb_store_bytes(skb, l4 + header, &option, sizeof(option), 0))
		return -1;
	if (change_ip_length(skb, s->packet, MARK_BYTES) || grow_header(skb, s))
		return -1;
	__s64 sum = bpf_csum_diff(0, 0, (__be32 *)&option, sizeof(option), 0);
	if (sum < 0 || bpf_l4_csum_replace(skb, l4 + TCP_CHECK, 0, sum, 0))
		return -1;
	return bpf_l4_csum_replace(skb, l4 + TCP_CHECK, bpf_htons(header), bpf_htons(header + MARK_BYTES),
				   BPF_F_PSEUDO_HDR | sizeof(__be16));
}

/* Reads the mark among a SYN's options; mark->version stays 0 when there is none. */
static __always_inline void find_tcp_mark(struct __sk_buff *skb, const struct segment *s, struct mark *mark)
{
	struct tcp_mark option = {};
	__u32 end = s->packet->l4 + s->tcp.doff * 4, at = s->packet->l4 + sizeof(s->tcp);
	for (int i = 0; i < TCP_OPTION_BYTES_MAX; i++) {
		if (at + sizeof(option) > end || load(skb, at, &option, sizeof(option)) || option.kind == 0)
			return;
		if (option.kind == OPTION_KIND && option.length == MARK_BYTES && option.exid == MARK_MAGIC) {
			read_mark(mark, option.sender, option.advertisement, option.tag);
			return;
		}
		if (option.kind != 1 && option.length < 2)
			return;
		at += option.kind == 1 ? 1 : option.length;
	}
}

struct reset4 {
	struct iphdr ip;
	struct tcphdr tcp;
};

struct reset6 {
	struct ipv6hdr ip;
	struct tcphdr tcp;
};

/*
 * Sums the reset's header so that it is right whether or not the sum was left to the network card: the window means
 * nothing in a reset, so it is chosen such that the finished sum equals the pseudo header's.
 */
static __always_inline void balance_reset(struct tcphdr *tcp, const struct packet *p)
{
	__be32 words[5];
	tcp->window = 0;
	tcp->check = 0;
	__builtin_memcpy(words, tcp, sizeof(words));
	__u16 pseudo = fold(pseudo_sum(p, sizeof(*tcp)));
	__u64 header = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];
	tcp->check = pseudo;
	tcp->window = negative(fold(header + pseudo + pseudo));
}

static __always_inline int store_reset4(struct __sk_buff *skb, const struct packet *p, const struct tcphdr *tcp)
{
	struct reset4 r = {.tcp = *tcp};
	__be16 words[10];
	r.ip.version = 4;
	r.ip.ihl = 5;
	r.ip.tot_len = bpf_htons(sizeof(r));
	r.ip.frag_off = bpf_htons(0x4000);
	r.ip.ttl = 64;
	r.ip.protocol = IPPROTO_TCP;
	r.ip.saddr = p->from.word[3];
	r.ip.daddr = p->to.word[3];
	__builtin_memcpy(words, &r.ip, sizeof(words));
	__u64 sum = 0;
	for (int i = 0; i < 10; i++)
		sum += words[i];
	r.ip.check = negative(fold(sum));
	if (bpf_skb_change_tail(skb, ETH_BYTES + sizeof(r), 0))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_BYTES, &r, sizeof(r), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int store_reset6(struct __sk_buff *skb, const struct packet *p, const struct tcphdr *tcp)
{
	struct reset6 r = {.tcp = *tcp};
	r.ip.version = 6;
	r.ip.payload_len = bpf_htons(sizeof(r.tcp));
	r.ip.nexthdr = IPPROTO_TCP;
	r.ip.hop_limit = 64;
	__builtin_memcpy(&r.ip.saddr, &p->from, sizeof(p->from));
	__builtin_memcpy(&r.ip.daddr, &p->to, sizeof(p->to));
	if (bpf_skb_change_tail(skb, ETH_BYTES + sizeof(r), 0))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_BYTES, &r, sizeof(r), BPF_F_RECOMPUTE_CSUM);
}

/* Apart, with a stack of its own, as all that is rare and large. */
static __noinline int store_reset(struct __sk_buff *skb, const struct packet *p, struct tcphdr *tcp)
{
	tcp->doff = 5;
	tcp->res1 = 0;
	tcp->syn = tcp->fin = tcp->psh = tcp->urg = tcp->ece = tcp->cwr = 0;
	tcp->rst = 1;
	tcp->urg_ptr = 0;
	balance_reset(tcp, p);
	return p->is_v6 ? store_reset6(skb, p, tcp) : store_reset4(skb, p, tcp);
}

static __always_inline int swap_macs(struct __sk_buff *skb)
{
	__u8 macs[12], swapped[12];
	if (load(skb, 0, macs, sizeof(macs)))
		return -1;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	return bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);
}

/* Turns the segment into a reset of itself and sends it back where it came from (RFC 9293, 3.10.7.1). */
static __noinline int answer_by_reset(struct __sk_buff *skb, struct packet *p, struct tcphdr *tcp)
{
	if (tcp->rst)
		return TC_ACT_SHOT;
	__u32 bytes = p->l4_bytes - tcp->doff * 4 + tcp->syn + tcp->fin;
	struct address address = p->from;
	p->from = p->to;
	p->to = address;
	__be16 port = tcp->source;
	tcp->source = tcp->dest;
	tcp->dest = port;
	__be32 sequence = tcp->ack ? tcp->ack_seq : 0;
	tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + bytes);
	tcp->seq = sequence;
	tcp->ack = 1;
	return store_reset(skb, p, tcp) || swap_macs(skb) ? TC_ACT_SHOT : bpf_redirect(skb->ifindex, 0);
}

static __always_inline int reset_sender(struct __sk_buff *skb, struct segment *s)
{
	return answer_by_reset(skb, s->packet, &s->tcp);
}

static __always_inline struct flow *find_flow(const struct flow_key *key)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);
	return flow ? flow : bpf_map_lookup_elem(&tentative, key);
}

/* Starts a connection, or starts it again after an earlier one with the same addresses and ports has ended. */
static __always_inline int start_flow(const struct flow_key *key, const struct flow *flow)
{
	int failed = bpf_map_update_elem(&tentative, key, flow, BPF_ANY);
	if (!failed)
		bpf_map_delete_elem(&flows, key);
	return failed;
}

static __always_inline void forget_flow(const struct flow_key *key)
{
	bpf_map_delete_elem(&tentative, key);
	bpf_map_delete_elem(&flows, key);
}

static __always_inline int start_incoming(const struct flow_key *key, __u8 slot, __u8 role)
{
	struct flow flow = {.slot = slot, .role = role, .last_seen_ns = bpf_ktime_get_coarse_ns()};
	return start_flow(key, &flow);
}

static __always_inline int start_outgoing(const struct flow_key *key, __u8 slot, __u8 role, const struct tcphdr *syn)
{
	struct flow flow = {.slot = slot,
			    .role = role,
			    .seen = SEEN_DOMAIN_SYN,
			    .domain_syn = bpf_ntohl(syn->seq),
			    .last_seen_ns = bpf_ktime_get_coarse_ns()};
	return start_flow(key, &flow);
}

/* Nobody who does not receive what the domain sends knows this number. */
static __always_inline int is_proof(const struct flow *flow, const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->rst && (flow->seen & SEEN_DOMAIN_SYN) &&
	       bpf_ntohl(tcp->ack_seq) - flow->domain_syn - 1 <= 0xffff;
}

static __always_inline void prove(const struct flow_key *key, struct flow *flow)
{
	flow->seen |= SEEN_PROOF;
	struct flow proven = *flow;
	if (!bpf_map_update_elem(&flows, key, &proven, BPF_ANY))
		bpf_map_delete_elem(&tentative, key);
}

static __always_inline void see(struct flow *flow, const struct tcphdr *tcp, __u8 fin)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	if (now - flow->last_seen_ns > SECOND_NS)
		flow->last_seen_ns = now;
	if (tcp->fin)
		flow->seen |= fin;
	if (tcp->rst || (flow->seen & SEEN_DOMAIN_FIN && flow->seen & SEEN_REMOTE_FIN))
		flow->state = FLOW_CLOSED;
	else if (!tcp->syn)
		flow->state = FLOW_OPEN;
}

/*
 * Both follow a connection's ends. A RST marks it closed, but the end points judge for themselves whether it is valid:
 * when they go on talking, it was not, and the connection counts as open again. (After a valid one, whatever was still
 * under way is answered by another RST.)
 */
static __always_inline void see_domain(struct flow *flow, const struct tcphdr *tcp)
{
	if (tcp->syn) {
		flow->domain_syn = bpf_ntohl(tcp->seq);
		flow->seen |= SEEN_DOMAIN_SYN;
	}
	see(flow, tcp, SEEN_DOMAIN_FIN);
}

/* The flow may have moved afterwards: look at it before. */
static __always_inline void see_remote(const struct flow_key *key, struct flow *flow, const struct tcphdr *tcp)
{
	see(flow, tcp, SEEN_REMOTE_FIN);
	if (!(flow->seen & SEEN_PROOF) && is_proof(flow, tcp))
		prove(key, flow);
}

static __always_inline int is_over(const struct flow *flow)
{
	if (flow->state == FLOW_OPENING)
		return bpf_ktime_get_coarse_ns() - flow->last_seen_ns > OPENING_IDLE_NS;
	return flow->state != FLOW_OPEN;
}

/* True when a new connection of peers, of the version in slot `number`, may have this one's place. */
static __always_inline int may_replace(const struct flow *flow, __u32 number)
{
	if (!flow)
		return 1;
	if (!is_over(flow))
		return 0;
	return flow->slot == number || flow->state != FLOW_CLOSED ||
	       bpf_ktime_get_coarse_ns() - flow->last_seen_ns > QUARANTINE_NS;
}
