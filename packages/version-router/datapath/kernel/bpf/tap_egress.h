/* What goes to a domain: from the host by its management address, or from the uplink under the address it bears. */
#pragma once

SEC("tc")
int tap_egress(struct __sk_buff *skb)
{
	trace_begin(skb, HOOK_TAP_EGRESS);
	remember_peer(skb, 0);
	__u32 ifindex = skb->ifindex;
	__u32 *number = lookup(interfaces, &ifindex);
	struct slot *slot = number ? slot_at(*number) : 0;
	struct config *config = configuration();
	struct frame f;
	if (!slot || !config || load(skb, 0, &f.eth, sizeof(f.eth)))
		return TC_ACT_SHOT;
	if (f.eth.h_proto == bpf_htons(ETH_P_ARP))
		return TC_ACT_OK;
	/* What the host says to every interface (neighbour discovery, mDNS) is no domain's business. */
	if (f.eth.h_proto != bpf_htons(ETH_P_IP) || load(skb, 0, &f.eth, L4_OFFSET))
		return TC_ACT_SHOT;
	if (f.ip.daddr == config->address)
		return TC_ACT_OK;
	if (f.ip.daddr != slot->management || f.ip.ihl != 5)
		return TC_ACT_SHOT;
	__u8 has_ports = !(f.ip.frag_off & bpf_htons(0x1fff));
	if (rewrite_address(skb, has_ports ? f.ip.protocol : 0, IP_OFFSET(daddr), slot->management, config->address))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT); /* a first fragment without the sum */
	return TC_ACT_OK;
}
