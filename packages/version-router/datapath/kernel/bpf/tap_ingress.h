/* What a domain sends: answered (ARP, neighbour discovery), marked, sent on, handed to the host, or refused. */
#pragma once

struct arp_ipv4 {
	struct ethhdr eth;
	__be16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

/*
 * The host's stack would drop the question: it comes from the host's own address. Only the gateway is answered for,
 * since nothing else is on the domain's link.
 */
static __always_inline int answer_arp(struct __sk_buff *skb, const struct slot *slot)
{
	struct arp_ipv4 arp;
	if (load(skb, 0, &arp, sizeof(arp)) || arp.operation != bpf_htons(1) || arp.target != GATEWAY)
		return TC_ACT_SHOT;
	arp.operation = bpf_htons(2);
	__builtin_memcpy(arp.eth.h_dest, arp.eth.h_source, 6);
	__builtin_memcpy(arp.eth.h_source, slot->host_mac, 6);
	__builtin_memcpy(arp.target_mac, arp.sender_mac, 6);
	__builtin_memcpy(arp.sender_mac, slot->host_mac, 6);
	arp.target = arp.sender;
	arp.sender = GATEWAY;
	if (bpf_skb_store_bytes(skb, 0, &arp, sizeof(arp), 0))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline int take_management_address(struct __sk_buff *skb, const struct slot *slot,
						   const struct packet *p)
{
	if (p->is_v6)
		return rewrite_ipv6(skb, p->protocol, p->l4, IP6_OFFSET(saddr), &p->from, &slot->management6);
	return rewrite_ipv4(skb, p->protocol, IP4_OFFSET(saddr), p->from.word[3], slot->management);
}

/* Hands the packet to the host's stack under the domain's management address; beyond the host, nftables translates. */
static __always_inline int to_stack(struct __sk_buff *skb, const struct slot *slot, const struct packet *p,
				    __u16 verdict)
{
	if (take_management_address(skb, slot, p))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	bpf_skb_change_type(skb, PACKET_HOST); /* a hypervisor may have given the interface another MAC address */
	return count(skb, slot, verdict, TC_ACT_OK);
}

static __always_inline struct port *find_port(__be16 port, __u8 protocol)
{
	struct port_key key = {.port = port, .protocol = protocol};
	return lookup(ports, &key);
}

static __always_inline int is_peer(const struct port *port, __u32 number)
{
	return port && (port->peer_slots >> (number & 63)) & 1;
}

static __always_inline int is_client(const struct port *port, __u32 number)
{
	return port && (port->client_slots >> (number & 63)) & 1;
}

/*
 * From a client port the source stays as it is, also when the server speaks first (a callback): the answer is then
 * known to be this domain's.
 */
static __always_inline int answer_client(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					 __u32 number, const struct flow_key *key)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct flow *flow = bpf_map_lookup_elem(&tentative, key);
	int is_live = flow && now - flow->last_seen_ns < UDP_IDLE_NS;
	if (is_live && flow->slot != number)
		return count(skb, slot, V_TUPLE_IN_USE, TC_ACT_SHOT);
	if (is_live)
		flow->last_seen_ns = now;
	else if (start_incoming(key, number, ROLE_CLIENT))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return count(skb, slot, V_CLIENT_OUT, to_uplink(config));
}

static __always_inline int peer_datagram(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					 const struct packet *p)
{
	if (skb->gso_size)
		return count(skb, slot, V_OFFLOADED, TC_ACT_SHOT);
	if (p->l4 - ETH_BYTES + p->l4_bytes + MARK_BYTES > config->uplink_mtu)
		return count(skb, slot, V_TOO_BIG, TC_ACT_SHOT);
	if (insert_mark(skb, slot, p))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return count(skb, slot, V_MARKED, to_uplink(config));
}

static __always_inline int from_domain_udp(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					   __u32 number, const struct packet *p)
{
	struct udp_marked h = {};
	if (load(skb, p->l4, &h.udp, sizeof(h.udp)) || bpf_ntohs(h.udp.len) != p->l4_bytes || lacks_sum(p, &h.udp))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	struct port *from = find_port(h.udp.source, IPPROTO_UDP), *to = find_port(h.udp.dest, IPPROTO_UDP);
	int is_peers = is_peer(from, number) || is_peer(to, number);
	if (is_peers && bpf_map_lookup_elem(&managed, &p->to))
		return peer_datagram(skb, config, slot, p);
	if (is_peers && !allows_unmanaged(slot->tag))
		return count(skb, slot, V_UNMANAGED, TC_ACT_SHOT);
	/* Whoever is not known to be managed may be all the same, and would believe it. */
	struct mark forged = {};
	find_udp_mark(skb, p, &h, &forged);
	if (forged.version)
		return count(skb, slot, V_SPOOFED, TC_ACT_SHOT);
	struct flow_key key = {.remote = p->to,
			       .remote_port = h.udp.dest,
			       .local_port = h.udp.source,
			       .protocol = IPPROTO_UDP};
	if (is_peers || is_client(from, number))
		return answer_client(skb, config, slot, number, &key);
	/* Another version's port: NAT would keep the number, and the answer would go to that version. */
	if (from)
		return count(skb, slot, V_PORT_NOT_REGISTERED, TC_ACT_SHOT);
	return to_stack(skb, slot, p, V_TRANSLATED);
}

/* A SYN or SYN-ACK to a peer. */
static __always_inline int mark_and_send(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					 struct segment *s)
{
	if (!has_room(s))
		return count(skb, slot, V_NO_ROOM, reset_sender(skb, s));
	if (add_option(skb, slot, s))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return count(skb, slot, V_MARKED, to_uplink(config));
}

/* A SYN that is refused leaves no trace in the table. To a node without Version Manager it goes as it is. */
static __always_inline int open_to_peer(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					__u32 number, const struct flow_key *key, struct segment *s)
{
	int is_plain = is_open_to(slot->tag, &key->remote);
	__u8 role = is_plain ? ROLE_CLIENT : ROLE_PEER;
	if ((is_plain || has_room(s)) && start_outgoing(key, number, role, &s->tcp))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return is_plain ? count(skb, slot, V_CLIENT_OUT, to_uplink(config)) : mark_and_send(skb, config, slot, s);
}

/* A segment of a connection that this domain has, or had. */
static __always_inline int from_domain_flow(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					    struct flow *flow, struct segment *s)
{
	if (flow->state == FLOW_REFUSED)
		return count(skb, slot, V_RESET, reset_sender(skb, s));
	if (flow->state == FLOW_RESET) {
		/* What the client was waiting for becomes its reset; what the domain sends next is answered by one. */
		flow->state = FLOW_REFUSED;
		return count(skb, slot, V_RESET, store_reset(skb, s->packet, &s->tcp) ? TC_ACT_SHOT : to_uplink(config));
	}
	see_domain(flow, &s->tcp);
	if (flow->role == ROLE_CLIENT)
		return count(skb, slot, V_CLIENT_OUT, to_uplink(config));
	if (s->tcp.syn)
		return mark_and_send(skb, config, slot, s);
	return count(skb, slot, V_PEER_TCP_OUT, to_uplink(config));
}

static __always_inline int from_domain_tcp(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					   __u32 number, struct packet *p)
{
	struct segment s = {.packet = p};
	if (load(skb, p->l4, &s.tcp, sizeof(s.tcp)) || is_absurd(&s.tcp) || s.tcp.doff * 4 > p->l4_bytes)
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	struct mark forged = {};
	if (s.tcp.syn)
		find_tcp_mark(skb, &s, &forged);
	if (forged.version)
		return count(skb, slot, V_SPOOFED, TC_ACT_SHOT);

	struct flow_key key = {.remote = p->to,
			       .remote_port = s.tcp.dest,
			       .local_port = s.tcp.source,
			       .protocol = IPPROTO_TCP};
	struct flow *flow = find_flow(&key);
	struct port *from = find_port(s.tcp.source, IPPROTO_TCP), *to = find_port(s.tcp.dest, IPPROTO_TCP);
	int opens = s.tcp.syn && !s.tcp.ack, opens_to_peer = opens && is_peer(to, number);
	if (opens_to_peer && may_replace(flow, number))
		return open_to_peer(skb, config, slot, number, &key, &s);
	if (flow && flow->slot == number)
		return from_domain_flow(skb, config, slot, flow, &s);
	if (flow && (opens_to_peer || !is_over(flow)))
		return count(skb, slot, V_TUPLE_IN_USE, reset_sender(skb, &s));
	if (is_peer(from, number) || is_peer(to, number) || (is_client(from, number) && !opens))
		return count(skb, slot, V_NO_FLOW, reset_sender(skb, &s));
	return to_stack(skb, slot, p, V_TRANSLATED);
}

/* An error about a connection of this domain, or an echo: that is NAT's business. */
static __always_inline int from_domain_icmp(struct __sk_buff *skb, const struct config *config, const struct slot *slot,
					    __u32 number, const struct packet *p)
{
	struct icmp_header header = {};
	struct quote quote = {};
	struct flow *flow = load_error(skb, p, &header, &quote) ? find_quoted_flow(&quote, p, 1) : 0;
	if (flow && flow->slot == number)
		return count(skb, slot, V_ICMP_ERROR, to_uplink(config));
	return to_stack(skb, slot, p, V_TRANSLATED);
}

/* Of layer 4. */
static __always_inline __u16 shortest(__u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return sizeof(struct tcphdr);
	return protocol == IPPROTO_UDP ? sizeof(struct udphdr) : 0;
}

static __always_inline int admit4_from_domain(struct __sk_buff *skb, const struct config *config,
					      const struct slot *slot, struct packet *p)
{
	struct iphdr ip;
	if (load(skb, ETH_BYTES, &ip, sizeof(ip)) || !is_whole4(skb, &ip) ||
	    bpf_ntohs(ip.tot_len) < IP4_BYTES + shortest(ip.protocol))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	describe4(p, &ip);
	remember_peer(skb, &p->to);
	if (ip.saddr != config->address)
		return count(skb, slot, V_SPOOFED, TC_ACT_SHOT);
	if (ip.frag_off & IP_FRAGMENT)
		return count(skb, slot, V_FRAGMENT, TC_ACT_SHOT);
	if (ip.daddr == GATEWAY)
		return to_stack(skb, slot, p, V_TO_HOST);
	if (is_private_to_node(ip.daddr) || ip.daddr == config->address)
		return count(skb, slot, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	return ADMITTED;
}

static __always_inline int admit6_from_domain(struct __sk_buff *skb, const struct config *config,
					      const struct slot *slot, struct packet *p)
{
	struct ipv6hdr ip;
	if (!has_ipv6(config))
		return count(skb, slot, V_IPV6, TC_ACT_SHOT);
	if (load(skb, ETH_BYTES, &ip, sizeof(ip)) || !is_whole6(skb, &ip))
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	describe6(p, &ip);
	remember_peer(skb, &p->to);
	/* Before the source is looked at: on its own link a domain has an address of that link, too. */
	if (is_multicast6(&p->to) || is_link_local6(&p->to))
		return p->protocol == IPPROTO_ICMPV6 ? answer_solicitation(skb, config, slot)
						     : count(skb, slot, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	if (!is_same_address(&p->from, &config->address6))
		return count(skb, slot, V_SPOOFED, TC_ACT_SHOT);
	if (p->protocol == IPPROTO_FRAGMENT)
		return count(skb, slot, V_FRAGMENT, TC_ACT_SHOT);
	if (is_extension(p->protocol))
		return count(skb, slot, V_EXTENSION_HEADER, TC_ACT_SHOT);
	__u16 least = p->protocol == IPPROTO_ICMPV6 ? sizeof(struct icmp_header) : shortest(p->protocol);
	if (p->l4_bytes < least)
		return count(skb, slot, V_MALFORMED, TC_ACT_SHOT);
	if (is_reserved6(&p->to) || is_management6(&p->to) || is_same_address(&p->to, &config->address6))
		return count(skb, slot, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	return ADMITTED;
}

SEC("tc")
int tap_ingress(struct __sk_buff *skb)
{
	trace_begin(skb, HOOK_TAP_INGRESS);
	forget_peer(skb);
	__u32 ifindex = skb->ifindex;
	__u32 *found = lookup(interfaces, &ifindex);
	struct config *config = configuration();
	if (!found || !config)
		return TC_ACT_SHOT;
	__u32 number = *found;
	struct slot *slot = slot_at(number);
	struct packet p = {};
	int action;
	if (!slot)
		return TC_ACT_SHOT;
	if (is_too_fast(skb, slot, number, SENDS))
		return count(skb, slot, V_RATE_EXCEEDED, TC_ACT_SHOT);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return answer_arp(skb, slot);
	if (skb->vlan_present)
		return count(skb, slot, V_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (skb->protocol == bpf_htons(ETH_P_IP))
		action = admit4_from_domain(skb, config, slot, &p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		action = admit6_from_domain(skb, config, slot, &p);
	else
		return count(skb, slot, V_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (action != ADMITTED)
		return action;
	if (p.protocol == IPPROTO_TCP)
		return from_domain_tcp(skb, config, slot, number, &p);
	if (p.protocol == IPPROTO_UDP)
		return from_domain_udp(skb, config, slot, number, &p);
	if (p.protocol == icmp_of(&p))
		return from_domain_icmp(skb, config, slot, number, &p);
	return to_stack(skb, slot, &p, V_TRANSLATED);
}
