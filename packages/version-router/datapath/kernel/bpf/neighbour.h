/* Neighbour discovery on a domain's link (RFC 4861), where there is nothing but the gateway fe80::1. */
#pragma once

enum { ND_SOLICITATION = 135, ND_ADVERTISEMENT = 136, ND_HOP_LIMIT = 255, ND_TARGET_LINK_ADDRESS = 2 };
#define ND_ROUTER_SOLICITED_OVERRIDE bpf_htonl(0xe0000000)

struct solicitation {
	struct ipv6hdr ip;
	__u8 type, code;
	__be16 check;
	__be32 flags;
	struct address target;
};

struct advertisement {
	struct solicitation start;
	__u8 option, option_words; /* of eight bytes */
	__u8 mac[6];
};

static __always_inline __u16 sum_advertisement(const struct advertisement *a)
{
	const __u32 *words = (const __u32 *)a;
	__u64 sum = (__u64)a->start.ip.payload_len + bpf_htons(IPPROTO_ICMPV6);
	/* From the addresses on: the pseudo header has them, too. */
	for (unsigned int i = 2; i < sizeof(*a) / 4; i++)
		sum += words[i];
	return negative(fold(sum));
}

/* Whatever else a domain says to its link (it joins groups, asks for routers, checks its address) concerns nobody. */
static __noinline int answer_solicitation(struct __sk_buff *skb, const struct config *config, const struct slot *slot)
{
	struct advertisement a = {};
	struct address asker;
	__u8 macs[12];
	if (load(skb, ETH_BYTES, &a.start, sizeof(a.start)) || load(skb, 6, macs, 6))
		return count(skb, slot, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	__builtin_memcpy(&asker, &a.start.ip.saddr, sizeof(asker));
	if (a.start.type != ND_SOLICITATION || a.start.code || a.start.ip.hop_limit != ND_HOP_LIMIT ||
	    bpf_ntohs(a.start.ip.payload_len) < sizeof(a.start) - IP6_BYTES || !is_gateway6(&a.start.target) ||
	    !(is_link_local6(&asker) || is_same_address(&asker, &config->address6)))
		return count(skb, slot, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	a.start.ip.payload_len = bpf_htons(sizeof(a) - IP6_BYTES);
	__builtin_memcpy(&a.start.ip.saddr, &a.start.target, sizeof(asker));
	__builtin_memcpy(&a.start.ip.daddr, &asker, sizeof(asker));
	a.start.type = ND_ADVERTISEMENT;
	a.start.check = 0;
	a.start.flags = ND_ROUTER_SOLICITED_OVERRIDE;
	a.option = ND_TARGET_LINK_ADDRESS;
	a.option_words = 1;
	__builtin_memcpy(a.mac, slot->host_mac, 6);
	a.start.check = sum_advertisement(&a);
	__builtin_memcpy(macs + 6, slot->host_mac, 6);
	if (bpf_skb_change_tail(skb, ETH_BYTES + sizeof(a), 0) || bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0) ||
	    bpf_skb_store_bytes(skb, ETH_BYTES, &a, sizeof(a), BPF_F_RECOMPUTE_CSUM))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return bpf_redirect(skb->ifindex, 0);
}
