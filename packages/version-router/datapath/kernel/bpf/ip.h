/*
 * The headers of layer 3, read into what decisions need. What comes after options or extension headers is refused, or
 * left to the host's stack: no decision is made by guesses.
 */
#pragma once

/* Authentication and mobility headers have no names in the kernel's public ones. */
enum { EXT_AUTHENTICATION = 51, EXT_MOBILITY = 135, EXT_HOST_IDENTITY = 139, EXT_SHIM = 140 };

struct fragment_header {
	__u8 next, reserved;
	__be16 offset; /* and two flags */
	__be32 id;
};

/* Of all but fragments. */
static __always_inline int is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_NONE ||
	       next == EXT_AUTHENTICATION || next == EXT_MOBILITY || next == EXT_HOST_IDENTITY || next == EXT_SHIM;
}

static __always_inline int is_whole6(const struct __sk_buff *skb, const struct ipv6hdr *ip)
{
	return ip->version == 6 && bpf_ntohs(ip->payload_len) + L4_OFFSET6 <= skb->len;
}

static __always_inline void describe6(struct packet *p, const struct ipv6hdr *ip)
{
	__builtin_memcpy(&p->from, &ip->saddr, sizeof(p->from));
	__builtin_memcpy(&p->to, &ip->daddr, sizeof(p->to));
	p->l4 = L4_OFFSET6;
	p->l4_bytes = bpf_ntohs(ip->payload_len);
	p->protocol = ip->nexthdr;
	p->is_v6 = 1;
}

static __always_inline int is_whole4(const struct __sk_buff *skb, const struct iphdr *ip)
{
	__u16 bytes = bpf_ntohs(ip->tot_len);
	return ip->version == 4 && ip->ihl == 5 && bytes >= IP4_BYTES && bytes + ETH_BYTES <= skb->len;
}

static __always_inline void describe4(struct packet *p, const struct iphdr *ip)
{
	map_ipv4(&p->from, ip->saddr);
	map_ipv4(&p->to, ip->daddr);
	p->l4 = L4_OFFSET4;
	p->l4_bytes = bpf_ntohs(ip->tot_len) - IP4_BYTES;
	p->protocol = ip->protocol;
	p->is_v6 = 0;
}
