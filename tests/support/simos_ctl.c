/* SPDX-License-Identifier: Apache-2.0 */
/* What a test does to the simulated system from outside. */
#include "simos_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct simos *simos_new(uint64_t seed)
{
	struct simos *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->rng = seed;
	s->lost = SIMOS_COIN;
	s->next_ino = 2;
	s->next_disk = 2;
	s->ops_tail = &s->ops;
	simos_calls_init(s);
	s->disks = calloc(1, sizeof(*s->disks));
	s->root = sim_node_new(s, NULL, true, 0755);
	if (!s->disks || !s->root) {
		simos_free(s);
		return NULL;
	}
	s->disks->id = 1;
	s->disks->root = s->root;
	s->root->disk = s->disks;
	return s;
}

static void drop_handles(struct simos *s)
{
	for (size_t i = 0; i < s->n_handle; i++) {
		if (!s->handle[i])
			continue;
		s->handle[i]->node->locked_by = -1;
		s->handle[i]->node->n_open--;
		sim_node_weigh(s->handle[i]->node);
		sim_node_put(s, s->handle[i]->node);
		free(s->handle[i]);
		s->handle[i] = NULL;
	}
	s->open_handles = 0;
}

static void heal(struct simos *s)
{
	for (int i = 0; i < SIM_FAULTS; i++) {
		free(s->fault[i].prefix);
		s->fault[i] = (struct sim_fault){ 0 };
	}
}

void simos_free(struct simos *s)
{
	if (!s)
		return;
	drop_handles(s);
	sim_ops_free(s);
	heal(s);
	sim_node_put(s, s->root);
	for (struct sim_disk *d = s->disks, *next; d; d = next) {
		next = d->next;
		free(d);
	}
	free(s->handle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct dynfs_os *simos_os(struct simos *s)
{
	return &s->os;
}

void simos_crash(struct simos *s, enum simos_survival how, uint64_t seed)
{
	uint64_t rng = seed;

	pthread_mutex_lock(&s->lock);
	drop_handles(s);
	if (how != SIMOS_CACHED)
		sim_tree_crash(s, NULL, how, &rng);
	heal(s);
	s->crash_at = 0;
	s->down = false;
	pthread_mutex_unlock(&s->lock);
}

void simos_restart(struct simos *s, enum simos_survival how, uint64_t seed)
{
	simos_crash(s, how, seed);
}

void simos_crash_at(struct simos *s, uint64_t nth)
{
	pthread_mutex_lock(&s->lock);
	s->crash_at = nth ? s->mutations + nth : 0;
	pthread_mutex_unlock(&s->lock);
}

bool simos_is_down(struct simos *s)
{
	bool down;

	pthread_mutex_lock(&s->lock);
	down = s->down;
	pthread_mutex_unlock(&s->lock);
	return down;
}

int simos_inject(struct simos *s, const struct simos_fault *f)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SIM_FAULTS && r; i++) {
		struct sim_fault *slot = &s->fault[i];

		if (slot->on)
			continue;
		free(slot->prefix);
		slot->f = *f;
		slot->prefix = f->prefix ? strdup(f->prefix) : NULL;
		slot->on = true;
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void simos_heal(struct simos *s)
{
	pthread_mutex_lock(&s->lock);
	heal(s);
	pthread_mutex_unlock(&s->lock);
}

int simos_fail_sync(struct simos *s, const char *prefix)
{
	return simos_inject(s, &(struct simos_fault){ .call = SIMOS_SYNC,
						      .prefix = prefix,
						      .nth = 1,
						      .times = 1,
						      .err = -EIO });
}

void simos_lost(struct simos *s, enum simos_survival how)
{
	pthread_mutex_lock(&s->lock);
	s->lost = how;
	pthread_mutex_unlock(&s->lock);
}

/* Walk to path, making durable directories where there are none. */
static struct sim_node *make_path(struct simos *s, const char *path)
{
	struct sim_node *at = s->root;
	char name[256];

	for (;;) {
		size_t n;
		struct sim_node *next;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n)
			return at;
		if (n > 255 || !at->is_dir)
			return NULL;
		memcpy(name, path, n);
		name[n] = 0;
		path += n;
		next = sim_map_find(&at->now, name);
		if (!next) {
			next = sim_node_new(s, at, true, 0755);
			if (!next)
				return NULL;
			next->n_links = 1;
			(void)sim_map_set(s, &at->now, name, next);
			(void)sim_map_set(s, &at->was, name, next);
			sim_node_put(s, next);
		}
		at = next;
	}
}

static void relabel(struct sim_node *n, struct sim_disk *from,
		    struct sim_disk *to)
{
	if (n->disk != from)
		return;
	if (!n->hidden) {
		from->used -= n->n_alloc * SIM_PAGE;
		to->used += n->n_alloc * SIM_PAGE;
	}
	n->disk = to;
	for (size_t i = 0; i < n->now.n; i++)
		relabel(n->now.v[i].node, from, to);
	for (size_t i = 0; i < n->was.n; i++)
		relabel(n->was.v[i].node, from, to);
}

static struct sim_disk *disk_at(struct simos *s, const char *prefix)
{
	struct sim_node *n = make_path(s, prefix);
	struct sim_disk *d;

	if (!n)
		return NULL;
	if (n->disk->root == n)
		return n->disk;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->id = s->next_disk++;
	d->root = n;
	d->next = s->disks;
	s->disks = d;
	relabel(n, n->disk, d);
	return d;
}

int simos_limit(struct simos *s, const char *prefix, uint64_t bytes)
{
	struct sim_disk *d;

	pthread_mutex_lock(&s->lock);
	d = disk_at(s, prefix);
	if (d)
		d->limit = bytes;
	pthread_mutex_unlock(&s->lock);
	return d ? 0 : -ENOMEM;
}

int simos_vanish(struct simos *s, const char *prefix, int err)
{
	struct sim_disk *d;

	pthread_mutex_lock(&s->lock);
	d = disk_at(s, prefix);
	if (d && !d->gone) {
		sim_tree_crash(s, d, SIMOS_COIN, &s->rng);
		d->gone = err;
		d->epoch++;
	}
	pthread_mutex_unlock(&s->lock);
	return d ? 0 : -ENOMEM;
}

void simos_reappear(struct simos *s, const char *prefix)
{
	struct sim_disk *d;

	pthread_mutex_lock(&s->lock);
	d = disk_at(s, prefix);
	if (d)
		d->gone = 0;
	pthread_mutex_unlock(&s->lock);
}

uint64_t simos_used(struct simos *s, const char *path)
{
	struct sim_node *n;
	uint64_t used;
	int err;

	pthread_mutex_lock(&s->lock);
	n = sim_lookup(s, path, &err);
	used = n ? n->disk->used : 0;
	pthread_mutex_unlock(&s->lock);
	return used;
}

int simos_flip(struct simos *s, const char *path, uint64_t offset, unsigned bit)
{
	struct sim_node *n;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	n = sim_lookup(s, path, &r);
	if (n)
		r = n->is_dir ? -EISDIR : sim_file_flip(n, offset, bit);
	pthread_mutex_unlock(&s->lock);
	return r;
}

uint64_t simos_calls(struct simos *s, enum simos_call call)
{
	uint64_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (call == SIMOS_MUTATING)
		n = s->mutations;
	for (int i = 0; i < SIMOS_N_CALLS; i++)
		if (call == SIMOS_ANY || (int)call == i)
			n += s->calls[i];
	pthread_mutex_unlock(&s->lock);
	return n;
}

uint64_t simos_handles(struct simos *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->open_handles;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void simos_advance(struct simos *s, uint64_t ns)
{
	pthread_mutex_lock(&s->lock);
	s->clock_ns += ns;
	pthread_mutex_unlock(&s->lock);
}
