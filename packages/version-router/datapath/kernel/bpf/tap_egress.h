/* What goes to a domain: from the host by its management address, or from the uplink under the address it bears. */
#pragma once

static __always_inline int to_domain4(struct __sk_buff *skb, const struct config *config, const struct slot *slot)
{
	struct iphdr ip;
	if (load(skb, ETH_BYTES, &ip, sizeof(ip)))
		return TC_ACT_SHOT;
	if (ip.daddr == config->address)
		return TC_ACT_OK;
	if (ip.daddr != slot->management || ip.ihl != 5)
		return TC_ACT_SHOT;
	__u8 has_ports = !(ip.frag_off & bpf_htons(0x1fff));
	if (rewrite_ipv4(skb, has_ports ? ip.protocol : 0, IP4_OFFSET(daddr), slot->management, config->address))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT); /* a first fragment without the sum */
	return TC_ACT_OK;
}

/* Fragments are of translated traffic: the stack has put them together, and takes them apart again. */
static __always_inline int to_domain6(struct __sk_buff *skb, const struct config *config, const struct slot *slot)
{
	struct ipv6hdr ip;
	struct packet p;
	if (!has_ipv6(config) || load(skb, ETH_BYTES, &ip, sizeof(ip)))
		return TC_ACT_SHOT;
	describe6(&p, &ip);
	if (is_same_address(&p.to, &config->address6))
		return TC_ACT_OK;
	/* Our own advertisement, to the address that the domain has on its link. */
	if (is_gateway6(&p.from) && p.protocol == IPPROTO_ICMPV6)
		return TC_ACT_OK;
	if (!is_same_address(&p.to, &slot->management6))
		return TC_ACT_SHOT;
	if (p.protocol == IPPROTO_FRAGMENT) {
		struct fragment_header fragment;
		if (load(skb, p.l4, &fragment, sizeof(fragment)))
			return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
		p.l4 += sizeof(fragment);
		p.protocol = fragment.offset & bpf_htons(0xfff8) ? IPPROTO_NONE : fragment.next;
	} else if (is_extension(p.protocol)) {
		return count(skb, slot, V_EXTENSION_HEADER, TC_ACT_SHOT);
	}
	if (rewrite_ipv6(skb, p.protocol, p.l4, IP6_OFFSET(daddr), &p.to, &config->address6))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	return TC_ACT_OK;
}

SEC("tc")
int tap_egress(struct __sk_buff *skb)
{
	trace_begin(skb, HOOK_TAP_EGRESS);
	forget_peer(skb);
	__u32 ifindex = skb->ifindex;
	__u32 *number = lookup(interfaces, &ifindex);
	struct slot *slot = number ? slot_at(*number) : 0;
	struct config *config = configuration();
	if (!slot || !config)
		return TC_ACT_SHOT;
	if (is_too_fast(skb, slot, *number, RECEIVES))
		return count(skb, slot, V_RATE_EXCEEDED, TC_ACT_SHOT);
	/* What the host says to every interface (neighbour discovery, mDNS) is no domain's business. */
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return to_domain4(skb, config, slot);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return to_domain6(skb, config, slot);
	return skb->protocol == bpf_htons(ETH_P_ARP) ? TC_ACT_OK : TC_ACT_SHOT;
}
