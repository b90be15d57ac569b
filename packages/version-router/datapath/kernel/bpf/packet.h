/* Reading packets and sums. Everything is copied to the stack: headers may lie in pages that are not mapped. */
#pragma once

#define ETH_BYTES sizeof(struct ethhdr)
#define IP_BYTES sizeof(struct iphdr)
#define L4_OFFSET (ETH_BYTES + IP_BYTES)
#define IP_OFFSET(field) (ETH_BYTES + offsetof(struct iphdr, field))
#define TCP_OFFSET(field) (L4_OFFSET + offsetof(struct tcphdr, field))
#define UDP_OFFSET(field) (L4_OFFSET + offsetof(struct udphdr, field))

#define GATEWAY bpf_htonl(0xa9fe0101)      /* 169.254.1.1 */
#define IP_FRAGMENT bpf_htons(0x3fff)      /* more fragments, or an offset */

/* The padding puts every header of layer 3 and 4 on a boundary of four bytes. */
struct frame {
	__u8 pad[2];
	struct ethhdr eth;
	struct iphdr ip;
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

/* Sum of the pseudo header; `bytes` is the length of header and payload of layer 4, host order. */
static __always_inline __u64 pseudo_sum(const struct iphdr *ip, __u16 bytes)
{
	return (__u64)ip->saddr + ip->daddr + bpf_htons(ip->protocol) + bpf_htons(bytes);
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

/* Rewrites one address (at `offset` of the frame) and the sums that cover it. */
static __always_inline int rewrite_address(struct __sk_buff *skb, __u8 protocol, __u32 offset, __be32 from, __be32 to)
{
	if (protocol == IPPROTO_TCP &&
	    bpf_l4_csum_replace(skb, TCP_OFFSET(check), from, to, BPF_F_PSEUDO_HDR | sizeof(to)))
		return -1;
	if (protocol == IPPROTO_UDP && bpf_l4_csum_replace(skb, UDP_OFFSET(check), from, to,
							   BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | sizeof(to)))
		return -1;
	if (bpf_l3_csum_replace(skb, IP_OFFSET(check), from, to, sizeof(to)))
		return -1;
	return bpf_skb_store_bytes(skb, offset, &to, sizeof(to), 0);
}

/* Adds `delta` (host order, may be negative) to the IP header's total length. */
static __always_inline int change_ip_length(struct __sk_buff *skb, const struct iphdr *ip, int delta)
{
	__be16 length = bpf_htons(bpf_ntohs(ip->tot_len) + delta);
	if (bpf_l3_csum_replace(skb, IP_OFFSET(check), ip->tot_len, length, sizeof(length)))
		return -1;
	return bpf_skb_store_bytes(skb, IP_OFFSET(tot_len), &length, sizeof(length), 0);
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
