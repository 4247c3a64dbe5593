/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every call passes first: it is counted, the armed power cut and the
 * injected faults decide what becomes of it.
 */
#include "simos_priv.h"
#include <errno.h>
#include <string.h>

static bool call_mutates(enum simos_call call, uint32_t flags)
{
	switch (call) {
	case SIMOS_OPEN:
		return flags & (DYNFS_OS_CREATE | DYNFS_OS_TRUNC);
	case SIMOS_PWRITEV:
	case SIMOS_SYNC:
	case SIMOS_ALLOCATE:
	case SIMOS_TRUNCATE:
	case SIMOS_MKDIR:
	case SIMOS_RMDIR:
	case SIMOS_UNLINK:
	case SIMOS_RENAME:
	case SIMOS_LINK:
	case SIMOS_SYNCDIR:
	case SIMOS_SYNCFS:
		return true;
	default:
		return false;
	}
}

/* path: of the call; NULL: then disk is that of its handle */
static bool fault_covers(struct simos *s, const struct sim_fault *f,
			 const char *path, const struct sim_disk *disk)
{
	struct sim_node *n;
	size_t len;
	int err;

	if (!f->prefix)
		return true;
	len = strlen(f->prefix);
	if (path)
		return !strncmp(path, f->prefix, len) &&
		       (!path[len] || path[len] == '/');
	n = sim_lookup(s, f->prefix, &err);
	return n && n->disk == disk;
}

static struct sim_gate gate_faults(struct simos *s, enum simos_call call,
				   bool mutates, const char *path,
				   const struct sim_disk *disk)
{
	struct sim_gate g = { .most = UINT64_MAX };

	for (int i = 0; i < SIM_FAULTS; i++) {
		struct sim_fault *f = &s->fault[i];

		if (!f->on ||
		    (f->f.call != call && f->f.call != SIMOS_ANY &&
		     !(f->f.call == SIMOS_MUTATING && mutates)) ||
		    !fault_covers(s, f, path, disk))
			continue;
		if (f->f.nth > 1) {
			f->f.nth--;
			continue;
		}
		if (f->f.times && !--f->f.times)
			f->on = false;
		if (f->f.err)
			g.err = f->f.err;
		else if (f->f.short_bytes < g.most)
			g.most = f->f.short_bytes;
	}
	return g;
}

struct sim_gate sim_gate_pass(struct simos *s, enum simos_call call,
			      uint32_t flags, const char *path,
			      const struct sim_disk *disk)
{
	bool mutates = call_mutates(call, flags);
	struct sim_gate g;

	s->calls[call]++;
	s->mutations += mutates;
	s->clock_ns += 1000;
	if (s->down)
		return (struct sim_gate){ .err = -EIO };
	g = gate_faults(s, call, mutates, path, disk);
	if (mutates && s->crash_at && s->mutations >= s->crash_at) {
		g.cut = true;
		/* half of the time the call itself never happened */
		if (call == SIMOS_SYNC || call == SIMOS_SYNCDIR ||
		    call == SIMOS_SYNCFS || (sim_rand(&s->rng) & 1))
			g.err = -EIO;
		s->down = true;
	}
	return g;
}
