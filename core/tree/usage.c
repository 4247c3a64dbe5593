/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses how much, and how much room there is.
 *
 * Batches carry what they change for a uid, gid or project (batch_count); the
 * sum of a group comes to the closing hook, which adds it to the counters and
 * puts the new values into that same group.  So after a crash counters and
 * inodes are of one moment.  One thread at a time is in the hook; the values in
 * memory are a bounded cache, the records are there to be read again.
 *
 * Room is asked of the disks at most ten times a second.  What makes new
 * metadata is refused a little before the disks are full, so that there is
 * always room to delete.
 */
#include <tree/private.h>

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdlib.h>

struct counter {
	struct hnode node;
	uint8_t kind;
	uint32_t id;
	struct usage_rec value;
};

static int count_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct tree *t = ctx;
	struct usage_rec rec;
	int r = usage_rec_get(value, value_len, &rec);

	(void)key;
	(void)key_len;
	if (!r)
		t->usage.n_inodes += rec.inodes;
	return r;
}

int usage_init(struct tree *t)
{
	struct key uids = key_usage(USAGE_UID, 0);
	int r;

	(void)pthread_mutex_init(&t->usage.lock, NULL);
	r = hmap_init(&t->usage.map, 64);
	if (r < 0)
		return r;
	/* kind and its byte, without the id */
	return meta_scan(t->meta, uids.data, uids.len - sizeof(uint32_t), NULL,
			 0, count_row, t);
}

static void forget_all(struct usage *u)
{
	struct hnode *n, *next;

	for (n = hmap_iter(&u->map, NULL); n; n = next) {
		next = hmap_iter(&u->map, n);
		hmap_remove(&u->map, n);
		free(container_of(n, struct counter, node));
	}
}

void usage_done(struct tree *t)
{
	forget_all(&t->usage);
	hmap_done(&t->usage.map);
	(void)pthread_mutex_destroy(&t->usage.lock);
}

static uint64_t counter_hash(uint8_t kind, uint32_t id)
{
	return hash_u64((uint64_t)kind << 32 | id);
}

static struct counter *cached(const struct usage *u, uint8_t kind, uint32_t id)
{
	struct hnode *n = hmap_find(&u->map, counter_hash(kind, id));

	for (; n; n = hmap_next(n)) {
		struct counter *c = container_of(n, struct counter, node);

		if (c->kind == kind && c->id == id)
			return c;
	}
	return NULL;
}

static int counter_get(struct tree *t, uint8_t kind, uint32_t id,
		       struct counter **ret)
{
	struct usage *u = &t->usage;
	struct key key = key_usage(kind, id);
	AUTOBUF struct buf value = BUF_INIT;
	struct counter *c;
	int r;

	c = cached(u, kind, id);
	if (c) {
		*ret = c;
		return 0;
	}
	if (u->map.n >= USAGE_CACHE)
		forget_all(u);
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->kind = kind;
	c->id = id;
	r = meta_get(t->meta, key.data, key.len, &value);
	if (!r)
		r = usage_rec_get(value.data, value.len, &c->value);
	if (r < 0 && r != -ENOENT) {
		free(c);
		return r;
	}
	hmap_add(&u->map, &c->node, counter_hash(kind, id));
	*ret = c;
	return 0;
}

/* Below zero is damage of long ago; it must not become 2^64. */
static uint64_t moved_by(uint64_t value, int64_t delta)
{
	uint64_t down = delta < 0 ? -(uint64_t)delta : 0;

	if (delta >= 0)
		return value + (uint64_t)delta;
	return value > down ? value - down : 0;
}

static int counter_move(struct tree *t, const struct batch_delta *d,
			struct batch *b)
{
	struct key key = key_usage(d->kind, d->id);
	AUTOBUF struct buf value = BUF_INIT;
	struct counter *c;
	int r = counter_get(t, d->kind, d->id, &c);

	if (r < 0)
		return r;
	c->value.inodes = moved_by(c->value.inodes, d->inodes);
	c->value.bytes = moved_by(c->value.bytes, d->bytes);
	if (d->kind == USAGE_UID)
		t->usage.n_inodes = moved_by(t->usage.n_inodes, d->inodes);
	if (!c->value.inodes && !c->value.bytes) {
		batch_delete(b, key.data, key.len);
		return 0;
	}
	usage_rec_put(&value, &c->value);
	if (buf_error(&value))
		return buf_error(&value);
	batch_put(b, key.data, key.len, value.data, value.len);
	return 0;
}

void tree_closing_hook(void *ctx, struct batch *b)
{
	static const char *const kinds[] = { [USAGE_UID] = "uid",
					     [USAGE_GID] = "gid",
					     [USAGE_PROJECT] = "project",
					     [USAGE_RESERVED] = "policy" };
	struct tree *t = ctx;

	if (!t)
		return;
	AUTOLOCK(&t->usage.lock);
	for (uint32_t i = 0; i < b->n_deltas; i++) {
		const struct batch_delta *d = &b->deltas[i];
		int r = counter_move(t, d, b);

		if (r < 0)
			log_warn("tree", "usage of %s %u is not counted: %s",
				 kinds[d->kind], d->id, fail_text(r));
	}
}

/* room.lock is held. */
static void room_ask(struct tree *t)
{
	struct dynfs_time now = files_now(t->files);
	struct room *room = &t->room;
	const struct policy *p = extents_policy_default(t->extents);
	int64_t age =
	    (now.sec - room->at.sec) * 1000000000 + now.nsec - room->at.nsec;

	if (room->known && age >= 0 && age < ROOM_NS)
		return;
	extents_capacity(t->extents, p, &room->total_bytes, &room->free_bytes);
	room->reserve_bytes = extents_reserve(room->total_bytes);
	room->at = now;
	room->known = true;
}

static bool has_room(struct tree *t, bool fresh)
{
	AUTOLOCK(&t->room.lock);
	t->room.known = t->room.known && !fresh;
	room_ask(t);
	return t->room.free_bytes >
	       t->room.reserve_bytes + files_reserved(t->files);
}

int tree_room_check(struct tree *t)
{
	unsigned looks = 0;

	while (!has_room(t, looks > 0))
		if (!files_room_comes(t->files, &looks))
			return -ENOSPC;
	return 0;
}

int view_statfs(void *ctx, struct dynfs_statfs *ret)
{
	struct tree *t = ctx;
	struct dynfs_statfs s = { .size = sizeof(s),
				  .block_bytes = 4096,
				  .name_max = DYNFS_NAME_MAX };
	uint64_t reserved = files_reserved(t->files);

	(void)pthread_mutex_lock(&t->room.lock);
	room_ask(t);
	s.total_bytes = t->room.total_bytes;
	s.free_bytes = t->room.free_bytes;
	/* what is reserved is as good as taken */
	s.free_bytes -= reserved < s.free_bytes ? reserved : s.free_bytes;
	if (s.free_bytes > t->room.reserve_bytes)
		s.avail_bytes = s.free_bytes - t->room.reserve_bytes;
	(void)pthread_mutex_unlock(&t->room.lock);
	(void)pthread_mutex_lock(&t->usage.lock);
	s.files = t->usage.n_inodes;
	(void)pthread_mutex_unlock(&t->usage.lock);
	/* there is no table of inodes: room for as many as empty files */
	s.files_free = s.avail_bytes / 512;
	s.files += s.files_free;
	*ret = s;
	return 0;
}
