/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tree asks of extents: five policies that never change, and the same
 * three extents for every file.  double.h says which.
 */
#include "double.h"

#include <base/fail.h>

#include <errno.h>
#include <string.h>

static uint32_t three_uids[] = { 7 }, three_gids[] = { 8 };

static const struct policy policies[] = {
	{ .id = 1, .name = "two", .k = 1, .m = 1, .spec = "replica:2" },
	{ .id = DOUBLE_POLICY_ONE,
	  .name = "one",
	  .k = 1,
	  .m = 0,
	  .spec = "replica:1" },
	{ .id = DOUBLE_POLICY_THREE,
	  .name = "three",
	  .k = 1,
	  .m = 2,
	  .spec = "replica:3",
	  .users = { three_uids, three_gids, 1, 1 } },
	{ .id = 4, .name = "six", .k = 5, .m = 1, .spec = "erasure:5+1" },
	{ .id = 5, .name = "auto", .k = 1, .m = 1, .automatic = true },
};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

const struct policy *extents_policy_default(struct extents *x)
{
	(void)x;
	return &policies[0];
}

const struct policy *extents_policy_named(struct extents *x, const char *name)
{
	(void)x;
	for (size_t i = 0; i < N_POLICIES; i++)
		if (!strcmp(policies[i].name, name))
			return &policies[i];
	return NULL;
}

uint32_t extents_policies(struct extents *x, const struct policy **out,
			  uint32_t max)
{
	uint32_t n = 0;

	(void)x;
	while (n < N_POLICIES && n < max) {
		out[n] = &policies[n];
		n++;
	}
	return n;
}

int extents_policy_fits(struct extents *x, const struct policy *p)
{
	(void)x;
	return strcmp(p->name, "six") != 0
		   ? 0
		   : fail(-ENOSPC, "policy six needs 1 more disk");
}

const struct policy *inode_policy(struct inode *in)
{
	uint32_t id = in->rec.policy;

	return id && id <= N_POLICIES ? &policies[id - 1] : &policies[0];
}

int file_map(struct inode *in,
	     int (*each)(void *ctx, const struct file_extent *row), void *ctx)
{
	static const struct file_extent rows[] = {
		{ 0, 10, SLICE_EXTENT, { 1, 1 }, 0 },
		{ 10, 10, SLICE_INLINE, { 0, 0 }, 0 },
		{ 20, 10, SLICE_EXTENT, { 1, 2 }, 0 },
		{ 30, 10, SLICE_HOLE, { 0, 0 }, 0 },
		{ 40, 10, SLICE_EXTENT, { 1, 1 }, 40 },
		{ 50, 10, SLICE_EXTENT, { 1, 3 }, 0 },
		{ 60, 10, SLICE_INLINE, { 0, 0 }, 0 },
		{ 70, 10, SLICE_EXTENT, { 1, 4 }, 0 },
	};
	int r = 0;

	(void)in;
	for (size_t i = 0; !r && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = each(ctx, &rows[i]);
	return r < 0 ? r : 0;
}

/* {1, 4} went between the map and the look at it */
int extent_record(struct extents *x, struct extent_id id,
		  struct extent_rec *ret)
{
	(void)x;
	if (id.counter > 3)
		return -ENOENT;
	*ret = (struct extent_rec){ .k = 1, .m = 1 };
	ret->fragments[0].disk = (uint32_t)(13 - 2 * id.counter);
	ret->fragments[1].disk = id.counter == 1 ? 2 : 0;
	return 0;
}

int extent_state(struct extents *x, const struct extent_rec *r,
		 struct extent_state *ret)
{
	(void)x;
	*ret = (struct extent_state){
		.readable = r->fragments[0].disk != 7,
		.full = r->fragments[1].disk,
	};
	return 0;
}
