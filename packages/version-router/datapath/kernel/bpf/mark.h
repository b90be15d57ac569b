/* The mark in both its forms; byte diagrams in ../../../mark and docs/WIRE.md. */
#pragma once

#define MARK_MAGIC bpf_htons(0x5652) /* 'VR' */
#define MARK_FORMAT 1
#define MARK_BYTES 16
#define VERSION_BITS 0x0fffffff
#define STATUS_RUNNING 1
#define STATUS_LAST 4
#define TCP_OPTION_BYTES_MAX 40
#define OPTION_KIND 253

struct udp_mark {
	__be16 magic;
	__be16 tag;
	__be32 sender;
	__be32 advertisement;
	__be16 flags;
	__be16 complement;
};

struct tcp_mark {
	__u8 kind;
	__u8 length;
	__be16 exid;
	__be32 sender;
	__be32 advertisement;
	__be16 tag;
	__be16 flags;
};

/* What a mark said, in host order. version is 0 when there was none. */
struct mark {
	__u32 version;
	__u32 advertisement;
	__u16 tag;
};

static __always_inline __be32 sender_word(const struct slot *slot)
{
	return bpf_htonl((MARK_FORMAT << 28) | slot->version);
}

static __always_inline __be32 advertisement_word(const struct slot *slot)
{
	__u32 tag = slot->tag;
	struct service *service = lookup(services, &tag);
	__u32 word = service && service->advertisement ? service->advertisement : (STATUS_RUNNING << 28) | slot->version;
	return bpf_htonl(word);
}

static __always_inline void read_mark(struct mark *mark, __be32 sender, __be32 advertisement, __be16 tag)
{
	__u32 word = bpf_ntohl(sender);
	if (word >> 28 != MARK_FORMAT || !tag)
		return;
	mark->version = word & VERSION_BITS;
	mark->advertisement = bpf_ntohl(advertisement);
	mark->tag = bpf_ntohs(tag);
	trace_mark(mark->tag, mark->version, mark->advertisement);
}

/* Remembers what a mark teaches; only of services that this node knows, so that the map stays theirs. */
static __always_inline void hear(const struct address *peer, const struct mark *mark)
{
	__u32 tag = mark->tag, status = mark->advertisement >> 28;
	if (status < STATUS_RUNNING || status > STATUS_LAST || !(mark->advertisement & VERSION_BITS) ||
	    !lookup(services, &tag))
		return;
	struct heard_key key = {
		.peer = *peer, .tag = tag, .version = mark->version, .advertisement = mark->advertisement};
	__u64 now = bpf_ktime_get_coarse_ns();
	__u64 *last = lookup(heard, &key);
	if (!last)
		bpf_map_update_elem(&heard, &key, &now, BPF_ANY);
	else if (now - *last > 100000000) /* every packet would have the cores fight over the line */
		*last = now;
}

static __always_inline struct slot *slot_of_mark(const struct mark *mark, __u32 *number)
{
	struct domain_key key = {.version = mark->version, .tag = mark->tag};
	__u32 *found = lookup(domains, &key);
	if (!found)
		return 0;
	*number = *found;
	return slot_at(*found);
}
