/*
 * The header of datagrams: put in after the UDP header, taken out again.
 *
 * A datagram's sum may be complete, or left to the network card (CHECKSUM_PARTIAL: the field holds the pseudo header's
 * sum, and the card later sums from where the UDP header used to start, that is from byte 8 of our header, and writes
 * the result into our last two bytes). A program cannot see which, so field and complement are chosen to be right in
 * both cases: two linear equations modulo 65535, docs/WIRE.md derives them.
 */
#pragma once

struct udp_marked {
	struct udphdr udp;
	struct udp_mark mark;
};

/* IPv6 has no sum of its own, so that a datagram must have one (RFC 8200, 8.1). */
static __always_inline int lacks_sum(const struct packet *p, const struct udphdr *udp)
{
	return p->is_v6 && !udp->check;
}

static __always_inline __u64 sum_first_half(const struct udp_mark *mark)
{
	return (__u64)mark->magic + mark->tag + mark->sender;
}

static __always_inline __u64 sum_second_half(const struct udp_mark *mark)
{
	return (__u64)mark->advertisement + mark->flags;
}

/* Chooses the UDP checksum and the complement; `h->udp` is still that of the unmarked datagram. */
static __always_inline void balance(struct udp_marked *h, const struct packet *p)
{
	__u16 bytes = bpf_ntohs(h->udp.len);
	__u64 header = (__u64)h->udp.source + h->udp.dest + h->udp.len;
	__u64 room = (__u64)bpf_htons(MARK_BYTES) * 2; /* both lengths, of pseudo header and header, grow */
	__u64 first = sum_first_half(&h->mark);
	__u64 rest = pseudo_sum(p, bytes) + header + room + first;
	__u16 twice = fold((__u64)h->udp.check + negative(fold(rest + room + first + sum_second_half(&h->mark))));
	__u16 check = half(twice);
	h->mark.complement = fold(check + rest);
	h->udp.check = check ? check : 0xffff;
}

static __always_inline int insert_mark(struct __sk_buff *skb, const struct slot *slot, const struct packet *p)
{
	struct udp_marked h = {};
	if (load(skb, p->l4, &h.udp, sizeof(h.udp)))
		return -1;
	h.mark.magic = MARK_MAGIC;
	h.mark.tag = bpf_htons(slot->tag);
	h.mark.sender = sender_word(slot);
	h.mark.advertisement = advertisement_word(slot);
	trace_mark(slot->tag, slot->version, bpf_ntohl(h.mark.advertisement));
	if (h.udp.check)
		balance(&h, p);
	h.udp.len = bpf_htons(bpf_ntohs(h.udp.len) + MARK_BYTES);
	if (bpf_skb_adjust_room(skb, MARK_BYTES, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return -1;
	if (change_ip_length(skb, p, MARK_BYTES))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4, &h, sizeof(h), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int strip_mark(struct __sk_buff *skb, struct udp_marked *h, const struct packet *p)
{
	if (h->udp.check) {
		__u16 check = fold((__u64)h->udp.check + bpf_htons(MARK_BYTES) * 2 + sum_first_half(&h->mark) +
				   sum_second_half(&h->mark) + h->mark.complement);
		h->udp.check = check ? check : 0xffff;
	}
	h->udp.len = bpf_htons(bpf_ntohs(h->udp.len) - MARK_BYTES);
	if (bpf_skb_adjust_room(skb, -MARK_BYTES, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return -1;
	if (change_ip_length(skb, p, -MARK_BYTES))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4, &h->udp, sizeof(h->udp), BPF_F_RECOMPUTE_CSUM);
}

/* Reads the mark at the start of a datagram's payload; mark->version stays 0 when there is none. */
static __always_inline void find_udp_mark(struct __sk_buff *skb, const struct packet *p, struct udp_marked *h,
					  struct mark *mark)
{
	__u16 bytes = bpf_ntohs(h->udp.len);
	if (bytes < sizeof(*h) || bytes > p->l4_bytes)
		return;
	if (load(skb, p->l4, h, sizeof(*h)) || h->mark.magic != MARK_MAGIC)
		return;
	read_mark(mark, h->mark.sender, h->mark.advertisement, h->mark.tag);
}
