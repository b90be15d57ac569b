/* ICMP errors quote the packet they are about: its addresses and ports tell whose connection it was. */
#pragma once

/* linux/icmp.h includes the C library's headers, which do not know the bpf target. */
enum { ICMP_DEST_UNREACH = 3, ICMP_FRAG_NEEDED = 4, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETERPROB = 12 };

struct icmp_error {
	__u8 type, code;
	__be16 check;
	__be16 unused, mtu;
	struct iphdr ip;
	struct ports_pair ports;
};

#define QUOTED_MARK_OFFSET (L4_OFFSET + offsetof(struct icmp_error, ports) + sizeof(struct udphdr))

/* False when it is no error, or quotes nothing that can be ours. */
static __always_inline int load_error(struct __sk_buff *skb, struct icmp_error *error)
{
	if (load(skb, L4_OFFSET, error, sizeof(*error)) || error->ip.ihl != 5)
		return 0;
	return error->type == ICMP_DEST_UNREACH || error->type == ICMP_TIME_EXCEEDED ||
	       error->type == ICMP_PARAMETERPROB;
}

/*
 * The connection or client's datagram that an ICMP error is about; 0 when it is about none. `from_domain` says which
 * way the error travels: it quotes a packet of the other direction.
 */
static __always_inline struct flow *find_quoted_flow(const struct icmp_error *error, __be32 address, int from_domain)
{
	if ((from_domain ? error->ip.daddr : error->ip.saddr) != address)
		return 0;
	struct flow_key key = {
		.remote = from_domain ? error->ip.saddr : error->ip.daddr,
		.remote_port = from_domain ? error->ports.source : error->ports.dest,
		.local_port = from_domain ? error->ports.dest : error->ports.source,
		.protocol = error->ip.protocol,
	};
	return find_flow(&key);
}

/* Datagrams between peers are in no table, but a router on their way quotes the mark, if it quotes enough. */
static __always_inline struct slot *find_quoted_slot(struct __sk_buff *skb, const struct icmp_error *error,
						     __be32 address)
{
	struct udp_mark quoted;
	struct mark mark = {};
	__u32 number = 0;
	if (error->ip.saddr != address || error->ip.protocol != IPPROTO_UDP ||
	    load(skb, QUOTED_MARK_OFFSET, &quoted, sizeof(quoted)) || quoted.magic != MARK_MAGIC)
		return 0;
	read_mark(&mark, quoted.sender, quoted.advertisement, quoted.tag);
	return mark.version ? slot_of_mark(&mark, &number) : 0;
}

/* A path that takes so much takes less of a domain's datagrams: their marks need room. */
static __always_inline int leave_room(struct __sk_buff *skb, const struct icmp_error *error)
{
	__u16 mtu = bpf_ntohs(error->mtu);
	if (error->type != ICMP_DEST_UNREACH || error->code != ICMP_FRAG_NEEDED || mtu <= MARK_BYTES)
		return 0;
	__be16 less = bpf_htons(mtu - MARK_BYTES);
	if (bpf_l4_csum_replace(skb, L4_OFFSET + offsetof(struct icmp_error, check), error->mtu, less, sizeof(less)))
		return -1;
	return bpf_skb_store_bytes(skb, L4_OFFSET + offsetof(struct icmp_error, mtu), &less, sizeof(less), 0);
}
