/* What comes from the network: marked traffic goes to its version's domain, clients' where their path leads. */
#pragma once

static __always_inline int to_domain_counted(struct __sk_buff *skb, const struct slot *slot, __u16 verdict)
{
	count(skb, slot, verdict, 0);
	return to_domain(skb, slot);
}

/* Entries without a slot do not exist; but a test of the pointers alone is merged into one that the kernel refuses. */
static __always_inline int is_registered(const struct port *port)
{
	return port && (port->peer_slots | port->client_slots);
}

static __always_inline int serves_peers(const struct port *port)
{
	return port && port->peer_slots;
}

/* A peer port where `remote`, which has no Version Manager, is treated as a client. */
static __always_inline int is_open(const struct port *port, const struct address *remote)
{
	return serves_peers(port) && is_open_to(port->tag, remote);
}

/* The domain that new connections of clients go to; 0 when they go to the host: a proxy listens there, or nobody. */
static __always_inline struct slot *client_domain(const struct port *port, const struct address *remote,
						  __u32 *number)
{
	__u32 tag = port->tag;
	struct service *service = lookup(services, &tag);
	if (!service || service->path != PATH_DIRECT)
		return 0;
	struct mark wanted = {.tag = tag, .version = service->path_version};
	struct slot *slot = slot_of_mark(&wanted, number);
	if (is_client(port, *number) || (is_peer(port, *number) && is_open(port, remote)))
		return slot;
	return 0;
}

/* `port` is 0 where only the answer to a domain's own datagram is expected. */
static __always_inline int client_datagram(struct __sk_buff *skb, const struct port *port, const struct flow_key *key)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct flow *flow = bpf_map_lookup_elem(&tentative, key);
	__u32 number = 0;
	struct slot *slot = 0;
	if (flow && now - flow->last_seen_ns < UDP_IDLE_NS) {
		flow->last_seen_ns = now;
		slot = slot_at(flow->slot);
	} else if (port) {
		slot = client_domain(port, &key->remote, &number);
		if (slot && start_incoming(key, number, ROLE_CLIENT))
			return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	}
	return slot ? to_domain_counted(skb, slot, V_CLIENT_IN) : TC_ACT_OK;
}

static __always_inline int marked_datagram(struct __sk_buff *skb, struct udp_marked *h, const struct mark *mark,
					   const struct port *from, const struct port *to, const struct packet *p)
{
	__u32 number = 0;
	struct slot *slot = slot_of_mark(mark, &number);
	if (!slot)
		return count_tag(skb, mark->tag, V_UNKNOWN_VERSION, TC_ACT_SHOT);
	if (!is_peer(from, number) && !is_peer(to, number))
		return count(skb, slot, V_PORT_NOT_REGISTERED, TC_ACT_SHOT);
	if (skb->gso_size)
		return count(skb, slot, V_OFFLOADED, TC_ACT_SHOT);
	count(skb, slot, V_DELIVERED, 0);
	if (strip_mark(skb, h, p))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return to_domain(skb, slot);
}

static __always_inline int from_uplink_udp(struct __sk_buff *skb, const struct packet *p)
{
	struct udp_marked h = {};
	struct mark mark = {};
	if (load(skb, p->l4, &h.udp, sizeof(h.udp)))
		return TC_ACT_OK;
	struct port *from = find_port(h.udp.source, IPPROTO_UDP), *to = find_port(h.udp.dest, IPPROTO_UDP);
	if (lacks_sum(p, &h.udp))
		return is_registered(from) || is_registered(to) ? count(skb, 0, V_MALFORMED, TC_ACT_SHOT) : TC_ACT_OK;
	find_udp_mark(skb, p, &h, &mark);
	if (mark.version)
		hear(&p->from, &mark);
	/* Also where the port is for clients only: a peer whose release had it otherwise is no client. */
	if (mark.version && (is_registered(from) || is_registered(to)))
		return marked_datagram(skb, &h, &mark, from, to, p);
	int is_served = (to && to->client_slots) || is_open(to, &p->from);
	if (is_served || is_open(from, &p->from)) {
		struct flow_key key = {.remote = p->from,
				       .remote_port = h.udp.source,
				       .local_port = h.udp.dest,
				       .protocol = IPPROTO_UDP};
		return client_datagram(skb, is_served ? to : 0, &key);
	}
	if (serves_peers(to))
		return count_tag(skb, to->tag, V_UNMARKED, TC_ACT_SHOT);
	return TC_ACT_OK;
}

/* A managed peer marks every SYN and SYN-ACK: somebody on the way has taken the option out. */
static __always_inline __u16 unmarked(const struct address *remote)
{
	return bpf_map_lookup_elem(&managed, remote) ? V_OPTION_STRIPPED : V_UNMARKED;
}

/* A marked SYN. To a port for clients only it is refused, too: whoever marks is a peer. */
static __always_inline int peer_opens(struct __sk_buff *skb, struct segment *s, const struct mark *mark,
				      const struct port *port, const struct flow_key *key, const struct flow *flow)
{
	__u32 number = 0;
	struct slot *slot = slot_of_mark(mark, &number);
	if (!slot)
		return count_tag(skb, mark->tag, V_UNKNOWN_VERSION, reset_sender(skb, s));
	if (!is_peer(port, number))
		return count(skb, slot, V_PORT_NOT_REGISTERED, reset_sender(skb, s));
	int goes_on = flow && !is_over(flow) && flow->slot == number && flow->role == ROLE_PEER;
	if (!goes_on && !may_replace(flow, number))
		return count(skb, slot, V_TUPLE_IN_USE, reset_sender(skb, s));
	if (!goes_on && start_incoming(key, number, ROLE_PEER))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return to_domain_counted(skb, slot, V_DELIVERED);
}

/* What is left of an earlier connection with the same addresses and ports must not claim the segments of this one. */
static __always_inline int opens_to_host(const struct flow_key *key, const struct flow *flow)
{
	if (flow && is_over(flow))
		forget_flow(key);
	return TC_ACT_OK;
}

static __always_inline int client_opens(struct __sk_buff *skb, struct segment *s, const struct port *port,
					const struct flow_key *key, const struct flow *flow)
{
	__u32 number = 0;
	struct slot *slot;
	if (flow && !is_over(flow)) {
		slot = slot_at(flow->slot);
		/* A stranger must not end a connection of peers by an unmarked SYN in its name. */
		if (flow->role == ROLE_PEER)
			return count(skb, slot, V_TUPLE_IN_USE, reset_sender(skb, s));
		return slot ? to_domain_counted(skb, slot, V_CLIENT_IN) : TC_ACT_OK;
	}
	slot = client_domain(port, &key->remote, &number);
	if (slot && start_incoming(key, number, ROLE_CLIENT))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return slot ? to_domain_counted(skb, slot, V_CLIENT_IN) : opens_to_host(key, flow);
}

/* A segment of a connection in the table that does not open it. */
static __always_inline int from_uplink_flow(struct __sk_buff *skb, struct segment *s, const struct flow_key *key,
					    struct flow *flow, const struct mark *mark)
{
	struct slot *slot = slot_at(flow->slot);
	if (!slot)
		return TC_ACT_OK;
	if (flow->state == FLOW_REFUSED || flow->state == FLOW_RESET)
		return count(skb, slot, V_RESET, reset_sender(skb, s));
	/* A node that was thought to have no Version Manager may answer by a mark: it must be the right one, too. */
	int must_match = s->tcp.syn && (flow->role == ROLE_PEER || mark->version);
	if (must_match && (mark->tag != slot->tag || mark->version != slot->version)) {
		/* Once a connection is open, no right answer comes late: anybody may have sent this one. */
		if (flow->state != FLOW_OPENING)
			return count(skb, slot, mark->version ? V_WRONG_VERSION : V_UNMARKED, TC_ACT_SHOT);
		count(skb, slot, mark->version ? V_WRONG_VERSION : unmarked(&key->remote), 0);
		/* The domain's connect() fails now; the peer is told when it asks again. */
		flow->state = FLOW_REFUSED;
		return store_reset(skb, s->packet, &s->tcp) ? TC_ACT_SHOT : to_domain(skb, slot);
	}
	__u16 verdict = flow->role == ROLE_CLIENT ? V_CLIENT_IN : s->tcp.syn ? V_DELIVERED : V_PEER_TCP_IN;
	see_remote(key, flow, &s->tcp);
	return to_domain_counted(skb, slot, verdict);
}

static __always_inline int from_uplink_tcp(struct __sk_buff *skb, struct packet *p)
{
	struct segment s = {.packet = p};
	struct mark mark = {};
	if (load(skb, p->l4, &s.tcp, sizeof(s.tcp)) || is_absurd(&s.tcp))
		return TC_ACT_OK;
	struct flow_key key = {.remote = p->from,
			       .remote_port = s.tcp.source,
			       .local_port = s.tcp.dest,
			       .protocol = IPPROTO_TCP};
	struct flow *flow = find_flow(&key);
	if (s.tcp.syn) {
		find_tcp_mark(skb, &s, &mark);
		if (mark.version)
			hear(&p->from, &mark);
	}
	if (!s.tcp.syn || s.tcp.ack)
		return flow ? from_uplink_flow(skb, &s, &key, flow, &mark) : TC_ACT_OK;
	struct port *port = find_port(s.tcp.dest, IPPROTO_TCP);
	if (!port)
		return opens_to_host(&key, flow);
	if (mark.version)
		return peer_opens(skb, &s, &mark, port, &key, flow);
	if (port->client_slots || is_open(port, &p->from))
		return client_opens(skb, &s, port, &key, flow);
	__u16 verdict = unmarked(&key.remote);
	return count_tag(skb, port->tag, verdict, reset_sender(skb, &s));
}

static __always_inline int from_uplink_icmp(struct __sk_buff *skb, const struct packet *p)
{
	struct icmp_header header = {};
	struct quote quote = {};
	if (!load_error(skb, p, &header, &quote))
		return TC_ACT_OK;
	struct flow *flow = find_quoted_flow(&quote, p, 0);
	struct slot *slot = flow ? slot_at(flow->slot) : 0;
	if (slot)
		return to_domain_counted(skb, slot, V_ICMP_ERROR);
	slot = find_quoted_slot(skb, &quote, p);
	if (!slot)
		return TC_ACT_OK;
	if (leave_room(skb, p, &header))
		return count(skb, slot, V_KERNEL_ERROR, TC_ACT_SHOT);
	return to_domain_counted(skb, slot, V_ICMP_ERROR);
}

/* Every node has the gateway's address; Linux would tell the network so. */
static __always_inline int asks_for_gateway(struct __sk_buff *skb)
{
	struct arp_ipv4 arp;
	return !load(skb, 0, &arp, sizeof(arp)) && arp.target == GATEWAY;
}

static __always_inline int admit4_from_uplink(struct __sk_buff *skb, const struct config *config, struct packet *p)
{
	struct iphdr ip;
	if (load(skb, ETH_BYTES, &ip, sizeof(ip)))
		return TC_ACT_OK;
	describe4(p, &ip);
	remember_peer(skb, &p->from);
	/* Management addresses end at this node: nobody outside may borrow or reach one. */
	if (is_link_local(ip.saddr) || is_link_local(ip.daddr))
		return count(skb, 0, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	/* What is cut or has options is left to the host's stack, which has no use for it. */
	if (ip.daddr != config->address || !is_whole4(skb, &ip))
		return TC_ACT_OK;
	/* The stack puts fragments together; nothing listens there on a port that is registered. */
	if (ip.frag_off & IP_FRAGMENT)
		return count(skb, 0, V_FRAGMENT, TC_ACT_OK);
	return ADMITTED;
}

/* An address of the link names no peer: a domain could not answer it. Errors may come from there. */
static __always_inline int is_remote6(const struct packet *p)
{
	if (is_reserved6(&p->from) || is_multicast6(&p->from))
		return 0;
	return p->protocol == IPPROTO_ICMPV6 || !is_link_local6(&p->from);
}

static __always_inline int admit6_from_uplink(struct __sk_buff *skb, const struct config *config, struct packet *p)
{
	struct ipv6hdr ip;
	if (!has_ipv6(config) || load(skb, ETH_BYTES, &ip, sizeof(ip)))
		return TC_ACT_OK;
	describe6(p, &ip);
	remember_peer(skb, &p->from);
	if (is_management6(&p->from) || is_management6(&p->to))
		return count(skb, 0, V_PRIVATE_ADDRESS, TC_ACT_SHOT);
	if (!is_same_address(&p->to, &config->address6) || !is_whole6(skb, &ip) || !is_remote6(p) ||
	    is_same_address(&p->from, &config->address6))
		return TC_ACT_OK;
	if (p->protocol == IPPROTO_FRAGMENT)
		return count(skb, 0, V_FRAGMENT, TC_ACT_OK);
	if (is_extension(p->protocol))
		return count(skb, 0, V_EXTENSION_HEADER, TC_ACT_OK);
	return ADMITTED;
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	trace_begin(skb, HOOK_UPLINK_INGRESS);
	struct config *config = configuration();
	struct packet p = {};
	int action = TC_ACT_OK;
	if (!config)
		return TC_ACT_OK;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		action = admit4_from_uplink(skb, config, &p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		action = admit6_from_uplink(skb, config, &p);
	else if (skb->protocol == bpf_htons(ETH_P_ARP) && asks_for_gateway(skb))
		action = TC_ACT_SHOT;
	if (action != ADMITTED)
		return action;
	if (p.protocol == IPPROTO_TCP)
		return from_uplink_tcp(skb, &p);
	if (p.protocol == IPPROTO_UDP)
		return from_uplink_udp(skb, &p);
	return p.protocol == icmp_of(&p) ? from_uplink_icmp(skb, &p) : TC_ACT_OK;
}
