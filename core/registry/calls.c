/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed calls that are more than one indirect call: defaults for what is
 * optional, and doubt.  What is checked is what costs little beside the call
 * and would do harm later: a disk picked twice loses an extent when it dies.
 */
#include <registry/checksum.h>
#include <registry/frontend.h>
#include <registry/meta.h>
#include <registry/placement.h>
#include <registry/redundancy.h>
#include <registry/store.h>

#include <base/fail.h>

#include <errno.h>
#include <string.h>

int reg_blame(const struct reg_inst *inst, const char *op, int r,
	      unsigned said_before)
{
	if (r > 0)
		return fail(-EIO, "%s answered %d to %s(), which means nothing",
			    inst->area, r, op);
	if (reg_said == said_before)
		return fail(r, "%s: %s() failed: %s", inst->area, op,
			    strerrordesc_np(-r) ? strerrordesc_np(-r)
						: "unknown error");
	return r;
}

int reg_store_space(struct reg_inst *inst, struct dynfs_store_space *out)
{
	int r;

	*out = (struct dynfs_store_space){ .size = sizeof(*out) };
	r = REG_ASK(inst, store, space, out);
	if (r == 0 && out->free_bytes > out->total_bytes)
		return fail(-EIO, "%s says that more is free than there is",
			    inst->area);
	return r;
}

int reg_store_list(struct reg_inst *inst, uint64_t *cursor,
		   struct dynfs_store_entry *out, uint32_t n, uint32_t *ret_n)
{
	uint64_t at = *cursor;
	uint32_t got = 0;
	int r = REG_ASK(inst, store, list, &at, out, n, &got);

	if (r < 0)
		return r;
	if (got > n)
		return fail(-EIO, "%s listed %u fragments into room for %u",
			    inst->area, got, n);
	if (got && at == *cursor)
		return fail(-EIO, "%s lists without getting on", inst->area);
	*cursor = at;
	*ret_n = got;
	return 0;
}

int reg_meta_scan(struct reg_inst *inst, struct dynfs_meta_span from,
		  struct dynfs_meta_span to, struct dynfs_meta_iter **ret)
{
	struct dynfs_meta_iter *it = NULL;
	int r = REG_ASK(inst, meta, scan, from, to, &it);

	if (r < 0)
		return r;
	if (!it)
		return fail(-EIO, "%s began a scan without an iterator",
			    inst->area);
	*ret = it;
	return 0;
}

int reg_redundancy_refuse(const struct reg_inst *inst, uint32_t k, uint32_t m,
			  size_t len)
{
	const struct dynfs_redundancy_limits *l = &inst->limits;

	if (reg_redundancy_fits(inst, k, m))
		return fail(-EINVAL,
			    "%s: a shard of %zu bytes is no multiple of %u",
			    inst->area, len, l->quantum);
	return fail(-EINVAL,
		    "%s does not do %u+%u: k is %u..%u, m is %u..%u, together "
		    "at most %u",
		    inst->area, k, m, l->data_min, l->data_max, l->check_min,
		    l->check_max, l->total_max);
}

int reg_redundancy_check(struct reg_inst *inst, uint32_t k, uint32_t m)
{
	if (!reg_redundancy_fits(inst, k, m))
		return reg_redundancy_refuse(inst, k, m, 0);
	return REG_ASK(inst, redundancy, check, k, m);
}

int reg_redundancy_rebuild(struct reg_inst *inst, uint32_t k, uint32_t m,
			   uint8_t **shard, size_t len, uint32_t have,
			   uint32_t want)
{
	uint32_t none;

	if (!reg_redundancy_fits(inst, k, m) || len % inst->limits.quantum)
		return reg_redundancy_refuse(inst, k, m, len);
	none = (uint32_t) ~(((uint64_t)1 << (k + m)) - 1);
	if ((have & want) || ((have | want) & none))
		return fail(-EINVAL,
			    "%s: shards %#x of %u+%u can not be made from %#x",
			    inst->area, want, k, m, have);
	if ((uint32_t)__builtin_popcount(have) < k)
		return fail(-EUCLEAN,
			    "only %d of %u fragments are left, %u are needed",
			    __builtin_popcount(have), k + m, k);
	if (!want)
		return 0;
	return REG_ASK(inst, redundancy, rebuild, k, m, shard, len, have, want);
}

int reg_checksum_sum_each(struct reg_inst *inst, const void *data, size_t len,
			  size_t block, uint8_t *out)
{
	const uint8_t *at = data;

	if (!block)
		return fail(-EINVAL, "%s: blocks of no bytes", inst->area);
	while (len) {
		size_t n = len < block ? len : block;
		int r = reg_checksum_sum(inst, at, n, out);

		if (r < 0)
			return r;
		at += n;
		len -= n;
		out += reg_checksum_len(inst);
	}
	return 0;
}

static const struct dynfs_placement_disk *
placement_disk(const struct dynfs_placement_request *q, uint32_t i)
{
	return (const void *)((const char *)q->disks +
			      (size_t)i * q->disk_size);
}

static int placement_check_request(const struct reg_inst *inst,
				   const struct dynfs_placement_request *q)
{
	uint32_t offered = 0;

	if (q->disk_size < sizeof(struct dynfs_placement_disk))
		return fail(-EINVAL, "%s: disks of %u bytes", inst->area,
			    q->disk_size);
	for (uint32_t i = 0; i < q->n_disks && offered < q->n_pick; ++i)
		offered += !placement_disk(q, i)->in_use;
	if (offered < q->n_pick)
		return fail(-EINVAL, "%u disks are needed, %u can take it",
			    q->n_pick, offered);
	return 0;
}

static int placement_check_pick(const struct reg_inst *inst,
				const struct dynfs_placement_request *q,
				const uint32_t *out)
{
	for (uint32_t i = 0; i < q->n_pick; ++i) {
		if (out[i] >= q->n_disks)
			return fail(-EIO, "%s picked disk %u of %u", inst->area,
				    out[i], q->n_disks);
		if (placement_disk(q, out[i])->in_use)
			return fail(-EIO,
				    "%s picked a disk that holds a fragment "
				    "already",
				    inst->area);
		for (uint32_t j = 0; j < i; ++j)
			if (out[i] == out[j])
				return fail(-EIO, "%s picked a disk twice",
					    inst->area);
	}
	return 0;
}

/* A fragment of this extent lies in the domain, or the first n picks go
 * there. */
static bool placement_domain_taken(const struct dynfs_placement_request *q,
				   const uint32_t *out, uint32_t n,
				   uint32_t domain)
{
	for (uint32_t i = 0; i < n; ++i)
		if (placement_disk(q, out[i])->domain == domain)
			return true;
	for (uint32_t i = 0; i < q->n_disks; ++i) {
		const struct dynfs_placement_disk *d = placement_disk(q, i);

		if (d->in_use && d->domain == domain)
			return true;
	}
	return false;
}

/*
 * A domain may be used again only when no offered disk is in a fresh one.
 * Usually every pick opens a domain, and the second loop never runs.
 */
static int placement_check_domains(const struct reg_inst *inst,
				   const struct dynfs_placement_request *q,
				   const uint32_t *out)
{
	bool again = false;

	for (uint32_t i = 0; i < q->n_pick && !again; ++i)
		again = placement_domain_taken(
		    q, out, i, placement_disk(q, out[i])->domain);
	for (uint32_t i = 0; again && i < q->n_disks; ++i) {
		const struct dynfs_placement_disk *d = placement_disk(q, i);

		if (!d->in_use &&
		    !placement_domain_taken(q, out, q->n_pick, d->domain))
			return fail(-EIO,
				    "%s used a failure domain twice while "
				    "another was free",
				    inst->area);
	}
	return 0;
}

int reg_placement_pick(struct reg_inst *inst,
		       const struct dynfs_placement_request *request,
		       uint32_t *out)
{
	int r = placement_check_request(inst, request);

	if (r == 0 && request->n_pick)
		r = REG_ASK(inst, placement, pick, request, out);
	if (r == 0)
		r = placement_check_pick(inst, request, out);
	return r < 0 ? r : placement_check_domains(inst, request, out);
}

int reg_frontend_open(struct reg_inst *inst,
		      const struct dynfs_frontend_env *env)
{
	int r;

	if (inst->serving)
		return fail(-EINVAL, "%s is open already", inst->area);
	r = REG_ASK(inst, frontend, open, env);
	inst->serving = r == 0;
	return r;
}

int reg_frontend_serve(struct reg_inst *inst)
{
	if (!inst->serving)
		return fail(-EINVAL, "%s is not open", inst->area);
	return REG_ASK(inst, frontend, serve);
}

void reg_frontend_close(struct reg_inst *inst)
{
	if (!inst->serving)
		return;
	inst->serving = false;
	reg_enter(inst);
	inst->ops.frontend->close(inst->self);
	reg_leave(inst);
}
