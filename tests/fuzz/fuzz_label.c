/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot of a label.  What is believed can be written and says the same
 * again.  A sum would stop nearly all mutations, so they are tried with it
 * made right, too.
 */
#include "fuzz.h"

#include <base/cleanup.h>
#include <base/hash.h>
#include <base/le.h>
#include <disk/private.h>

#include <errno.h>
#include <string.h>

static void decode(const uint8_t *data, size_t len)
{
	CLEANUP(label_done) struct label l = { 0 };
	CLEANUP(label_done) struct label again = { 0 };
	CLEANUP(label_done) struct label copy = { 0 };
	AUTOBUF struct buf a = BUF_INIT;
	AUTOBUF struct buf b = BUF_INIT;
	int r = label_decode(data, len, &l);

	if (r) {
		FUZZ_MUST(r == -EUCLEAN || r == -EOPNOTSUPP);
		return;
	}
	FUZZ_MUST(label_member(&l, l.disk_id));
	for (uint32_t i = 0; i < l.n_insync; i++)
		FUZZ_MUST(member_votes(label_member(&l, l.insync[i])));
	FUZZ_MUST(!label_encode(&l, &a));
	FUZZ_MUST(!label_decode(a.data, a.len, &again));
	FUZZ_MUST(!label_copy(&again, &copy) && !label_encode(&copy, &b));
	FUZZ_MUST(a.len == b.len && !memcmp(a.data, b.data, a.len));
}

void fuzz_run(const uint8_t *data, size_t len)
{
	uint8_t *fixed;

	decode(data, len);
	if (len <= 40 || len > LABEL_SLOT_BYTES)
		return;
	fixed = fuzz_alloc(len);
	memcpy(fixed, data, len);
	memcpy(fixed, "DYNFLABL", 8);
	put_le32(fixed + 12, (uint32_t)len);
	memset(fixed + 24, 0, 16);
	sum128(fixed, len, fixed + 24);
	decode(fixed, len);
	free(fixed);
}

static char *dup(const char *s)
{
	char *d = strdup(s);

	FUZZ_MUST(d);
	return d;
}

static void make(struct label *l, uint32_t n)
{
	*l = (struct label){ .extent_bytes = 1u << 20,
			     .disk_id = 1,
			     .promised = 9,
			     .epoch = 7,
			     .epoch_bits = 1234,
			     .pool_name = dup("home"),
			     .store = dup(n % 2 ? "segment\nx=1\n" : "") };
	FUZZ_MUST(!features_base(&l->features));
	memset(l->pool.b, 1, 16);
	memset(l->disk.b, 1, 16);
	l->members = calloc(n, sizeof(*l->members));
	FUZZ_MUST(l->members);
	l->n_members = n;
	for (uint32_t i = 0; i < n; i++) {
		struct member *m = &l->members[i];

		m->id = i + 1;
		memset(m->disk.b, (int)i + 1, 16);
		m->state = (uint8_t)(i % 2 ? MEMBER_DRAINING : MEMBER_ACTIVE);
		m->role = (uint8_t)(1 + i % 3);
		m->path = dup("/mnt/disk");
		if (i % 2)
			continue;
		m->tags = calloc(1, sizeof(*m->tags));
		FUZZ_MUST(m->tags);
		m->n_tags = 1;
		m->tags[0] = (struct member_tag){ dup("tier"), dup("hdd") };
	}
	FUZZ_MUST(!label_voters(l, &l->before, &l->n_before));
	FUZZ_MUST(!label_voters(l, &l->insync, &l->n_insync));
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	static const uint32_t sizes[] = { 1, 2, 7, 16 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CLEANUP(label_done) struct label l;
		AUTOBUF struct buf b = BUF_INIT;
		char name[16];

		make(&l, sizes[i]);
		FUZZ_MUST(!label_encode(&l, &b));
		(void)snprintf(name, sizeof(name), "members-%u", sizes[i]);
		put(ctx, name, b.data, b.len);
	}
}
