/* ICMP errors quote the packet they are about: its addresses and ports tell whose connection it was. */
#pragma once

/* linux/icmp.h includes the C library's headers, which do not know the bpf target. */
enum { ICMP_DEST_UNREACH = 3, ICMP_FRAG_NEEDED = 4, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETERPROB = 12 };
/* Destination unreachable, packet too big, time exceeded, parameter problem. */
enum { ICMP6_FIRST_ERROR = 1, ICMP6_TOO_BIG = 2, ICMP6_LAST_ERROR = 4 };

#define IP6_MTU_MIN 1280

static __always_inline __u8 icmp_of(const struct packet *p)
{
	return p->is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

struct icmp_header {
	__u8 type, code;
	__be16 check;
	union {
		__be32 mtu6;
		struct {
			__be16 unused, mtu4;
		};
	};
};

/* Whom an error is about. */
struct quote {
	struct address from, to;
	__u32 l4; /* in the frame */
	struct ports_pair ports;
	__u8 protocol;
};

static __always_inline int load_quote4(struct __sk_buff *skb, const struct packet *p, __u8 type, struct quote *quote)
{
	struct {
		struct iphdr ip;
		struct ports_pair ports;
	} quoted;
	__u32 at = p->l4 + sizeof(struct icmp_header);
	if (load(skb, at, &quoted, sizeof(quoted)) || quoted.ip.ihl != 5)
		return 0;
	map_ipv4(&quote->from, quoted.ip.saddr);
	map_ipv4(&quote->to, quoted.ip.daddr);
	quote->l4 = at + IP4_BYTES;
	quote->ports = quoted.ports;
	quote->protocol = quoted.ip.protocol;
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* What is behind extension headers is no traffic of ours. A quoted address that stands for IPv4 would find its flow. */
static __always_inline int load_quote6(struct __sk_buff *skb, const struct packet *p, __u8 type, struct quote *quote)
{
	struct {
		struct ipv6hdr ip;
		struct ports_pair ports;
	} quoted;
	__u32 at = p->l4 + sizeof(struct icmp_header);
	if (load(skb, at, &quoted, sizeof(quoted)))
		return 0;
	__builtin_memcpy(&quote->from, &quoted.ip.saddr, sizeof(quote->from));
	__builtin_memcpy(&quote->to, &quoted.ip.daddr, sizeof(quote->to));
	quote->l4 = at + IP6_BYTES;
	quote->ports = quoted.ports;
	quote->protocol = quoted.ip.nexthdr;
	return type >= ICMP6_FIRST_ERROR && type <= ICMP6_LAST_ERROR && !is_reserved6(&quote->from) &&
	       !is_reserved6(&quote->to);
}

/* False when it is no error, or quotes nothing that can be ours. */
static __always_inline int load_error(struct __sk_buff *skb, const struct packet *p, struct icmp_header *header,
				      struct quote *quote)
{
	if (load(skb, p->l4, header, sizeof(*header)))
		return 0;
	return p->is_v6 ? load_quote6(skb, p, header->type, quote) : load_quote4(skb, p, header->type, quote);
}

/*
 * The connection or client's datagram that an ICMP error is about; 0 when it is about none. `from_domain` says which
 * way the error travels: it quotes a packet of the other direction. The node's own address is the packet's other end.
 */
static __always_inline struct flow *find_quoted_flow(const struct quote *quote, const struct packet *p, int from_domain)
{
	if (!is_same_address(from_domain ? &quote->to : &quote->from, from_domain ? &p->from : &p->to))
		return 0;
	struct flow_key key = {
		.remote = from_domain ? quote->from : quote->to,
		.remote_port = from_domain ? quote->ports.source : quote->ports.dest,
		.local_port = from_domain ? quote->ports.dest : quote->ports.source,
		.protocol = quote->protocol,
	};
	return find_flow(&key);
}

/* Datagrams between peers are in no table, but a router on their way quotes the mark, if it quotes enough. */
static __always_inline struct slot *find_quoted_slot(struct __sk_buff *skb, const struct quote *quote,
						     const struct packet *p)
{
	struct udp_mark quoted;
	struct mark mark = {};
	__u32 number = 0;
	if (!is_same_address(&quote->from, &p->to) || quote->protocol != IPPROTO_UDP ||
	    load(skb, quote->l4 + sizeof(struct udphdr), &quoted, sizeof(quoted)) || quoted.magic != MARK_MAGIC)
		return 0;
	read_mark(&mark, quoted.sender, quoted.advertisement, quoted.tag);
	return mark.version ? slot_of_mark(&mark, &number) : 0;
}

/* A path that takes so much takes less of a domain's datagrams: their marks need room. */
static __always_inline int leave_room4(struct __sk_buff *skb, const struct packet *p, const struct icmp_header *header)
{
	__u16 mtu = bpf_ntohs(header->mtu4);
	if (header->type != ICMP_DEST_UNREACH || header->code != ICMP_FRAG_NEEDED || mtu <= MARK_BYTES)
		return 0;
	__be16 less = bpf_htons(mtu - MARK_BYTES);
	if (bpf_l4_csum_replace(skb, p->l4 + offsetof(struct icmp_header, check), header->mtu4, less, sizeof(less)))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4 + offsetof(struct icmp_header, mtu4), &less, sizeof(less), 0);
}

/* Less than IPv6's least MTU would not be heeded (RFC 8201, 4). */
static __always_inline int leave_room6(struct __sk_buff *skb, const struct packet *p, const struct icmp_header *header)
{
	__u32 mtu = bpf_ntohl(header->mtu6);
	if (header->type != ICMP6_TOO_BIG || mtu <= IP6_MTU_MIN)
		return 0;
	__be32 less = bpf_htonl(mtu < IP6_MTU_MIN + MARK_BYTES ? IP6_MTU_MIN : mtu - MARK_BYTES);
	if (bpf_l4_csum_replace(skb, p->l4 + offsetof(struct icmp_header, check), header->mtu6, less, sizeof(less)))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4 + offsetof(struct icmp_header, mtu6), &less, sizeof(less), 0);
}

static __always_inline int leave_room(struct __sk_buff *skb, const struct packet *p, const struct icmp_header *header)
{
	return p->is_v6 ? leave_room6(skb, p, header) : leave_room4(skb, p, header);
}
