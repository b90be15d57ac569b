/* Reading packets and sums. Everything is copied to the stack: headers may lie in pages that are not mapped. */
#pragma once

#define ETH_BYTES sizeof(struct ethhdr)
#define IP4_BYTES sizeof(struct iphdr)
#define IP6_BYTES sizeof(struct ipv6hdr)
#define L4_OFFSET4 (ETH_BYTES + IP4_BYTES)
#define L4_OFFSET6 (ETH_BYTES + IP6_BYTES)
#define IP4_OFFSET(field) (ETH_BYTES + offsetof(struct iphdr, field))
#define IP6_OFFSET(field) (ETH_BYTES + offsetof(struct ipv6hdr, field))
#define TCP_CHECK offsetof(struct tcphdr, check)
#define UDP_CHECK offsetof(struct udphdr, check)
#define ICMP6_CHECK 2

#define GATEWAY bpf_htonl(0xa9fe0101)      /* 169.254.1.1 */
#define IP_FRAGMENT bpf_htons(0x3fff)      /* more fragments, or an offset */

/* Given by the functions that look at a packet first: it is to be decided by what follows. */
#define ADMITTED -1

/* A packet of either family, as far as decisions need it. From here on the families go one way. */
struct packet {
	struct address from, to;
	__u32 l4;       /* where the header of layer 4 begins in the frame */
	__u16 l4_bytes; /* header and payload of layer 4 */
	__u8 protocol;
	__u8 is_v6;
};

struct ports_pair {
	__be16 source;
	__be16 dest;
};

static __always_inline int load(struct __sk_buff *skb, __u32 offset, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(skb, offset, to, bytes);
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* One's complement: -x is ~x, and halving is a rotation, because 2^16 = 1 (mod 65535). */
static __always_inline __u16 negative(__u16 x)
{
	return ~x;
}

static __always_inline __u16 half(__u16 x)
{
	return (x >> 1) | (x << 15);
}

static __always_inline __u64 sum_address(const struct address *address)
{
	return (__u64)address->word[0] + address->word[1] + address->word[2] + address->word[3];
}

/*
 * Sum of the pseudo header; `bytes` is the length of header and payload of layer 4, host order. The words before an
 * IPv4 address sum up to 0xffff, which is nothing.
 */
static __always_inline __u64 pseudo_sum(const struct packet *p, __u16 bytes)
{
	return sum_address(&p->from) + sum_address(&p->to) + bpf_htons(p->protocol) + bpf_htons(bytes);
}

static __always_inline void map_ipv4(struct address *to, __be32 address)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = address;
}

static __always_inline int is_same_address(const struct address *one, const struct address *other)
{
	return one->word[3] == other->word[3] && one->word[2] == other->word[2] && one->word[1] == other->word[1] &&
	       one->word[0] == other->word[0];
}

static __always_inline int has_ipv6(const struct config *config)
{
	return config->address6.word[0] != 0;
}

static __always_inline int is_link_local(__be32 address)
{
	return (address & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
}

/* What no packet of a domain may be sent to: 0/8, 127/8, 169.254/16, multicast, broadcast. */
static __always_inline int is_private_to_node(__be32 address)
{
	__u8 first = bpf_ntohl(address) >> 24;
	return first == 0 || first == 127 || first >= 224 || is_link_local(address);
}

/* fe80::1 */
static __always_inline int is_gateway6(const struct address *address)
{
	return address->word[0] == bpf_htonl(0xfe800000) && !address->word[1] && !address->word[2] &&
	       address->word[3] == bpf_htonl(1);
}

/* fe80::/10 */
static __always_inline int is_link_local6(const struct address *address)
{
	return (address->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* ff00::/8 */
static __always_inline int is_multicast6(const struct address *address)
{
	return (address->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

/* ::/64: unspecified, loopback, and those that stand for IPv4. */
static __always_inline int is_reserved6(const struct address *address)
{
	return !address->word[0] && !address->word[1];
}

/* fd56:52aa:6f3d:1::/64, see ../addresses.ts */
static __always_inline int is_management6(const struct address *address)
{
	return address->word[0] == bpf_htonl(0xfd5652aa) && address->word[1] == bpf_htonl(0x6f3d0001);
}

/* Rewrites an IPv4 address (at `offset` of the frame) and the sums that cover it. */
static __always_inline int rewrite_ipv4(struct __sk_buff *skb, __u8 protocol, __u32 offset, __be32 from, __be32 to)
{
	if (protocol == IPPROTO_TCP &&
	    bpf_l4_csum_replace(skb, L4_OFFSET4 + TCP_CHECK, from, to, BPF_F_PSEUDO_HDR | sizeof(to)))
		return -1;
	if (protocol == IPPROTO_UDP && bpf_l4_csum_replace(skb, L4_OFFSET4 + UDP_CHECK, from, to,
							   BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | sizeof(to)))
		return -1;
	if (bpf_l3_csum_replace(skb, IP4_OFFSET(check), from, to, sizeof(to)))
		return -1;
	return bpf_skb_store_bytes(skb, offset, &to, sizeof(to), 0);
}

/* The same for IPv6, where ICMP's sum covers addresses, too. `l4` is where the header of layer 4 begins. */
static __always_inline int rewrite_ipv6(struct __sk_buff *skb, __u8 protocol, __u32 l4, __u32 offset,
					const struct address *from, const struct address *to)
{
	struct address before = *from, after = *to;
	__s64 difference = bpf_csum_diff(before.word, sizeof(before), after.word, sizeof(after), 0);
	if (difference < 0)
		return -1;
	if (protocol == IPPROTO_TCP && bpf_l4_csum_replace(skb, l4 + TCP_CHECK, 0, difference, BPF_F_PSEUDO_HDR))
		return -1;
	if (protocol == IPPROTO_UDP &&
	    bpf_l4_csum_replace(skb, l4 + UDP_CHECK, 0, difference, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0))
		return -1;
	if (protocol == IPPROTO_ICMPV6 && bpf_l4_csum_replace(skb, l4 + ICMP6_CHECK, 0, difference, BPF_F_PSEUDO_HDR))
		return -1;
	return bpf_skb_store_bytes(skb, offset, &after, sizeof(after), 0);
}

/* Adds `delta` (host order, may be negative) to the length in the IP header. */
static __always_inline int change_ip_length(struct __sk_buff *skb, const struct packet *p, int delta)
{
	if (p->is_v6) {
		__be16 length = bpf_htons(p->l4_bytes + delta);
		/* No sum of this header makes up for the change: a sum over the whole packet must follow it. */
		return bpf_skb_store_bytes(skb, IP6_OFFSET(payload_len), &length, sizeof(length), BPF_F_RECOMPUTE_CSUM);
	}
	__be16 was = bpf_htons(IP4_BYTES + p->l4_bytes), length = bpf_htons(IP4_BYTES + p->l4_bytes + delta);
	if (bpf_l3_csum_replace(skb, IP4_OFFSET(check), was, length, sizeof(length)))
		return -1;
	return bpf_skb_store_bytes(skb, IP4_OFFSET(tot_len), &length, sizeof(length), 0);
}

/* Hands the frame to the domain: it wants its own MAC address. */
static __always_inline int to_domain(struct __sk_buff *skb, const struct slot *slot)
{
	struct {
		__u8 destination[6];
		__u8 source[6];
	} macs;
	__builtin_memcpy(macs.destination, slot->guest_mac, 6);
	__builtin_memcpy(macs.source, slot->host_mac, 6);
	if (bpf_skb_store_bytes(skb, 0, &macs, sizeof(macs), 0))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return bpf_redirect(slot->ifindex, 0);
}

/* Sends the packet on with its source untouched: it is the node's own address. The kernel finds the next hop. */
static __always_inline int to_uplink(const struct config *config)
{
	return bpf_redirect_neigh(config->uplink, 0, 0, 0);
}
