/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dir store: names of files, which say all that a listing wants, and the
 * place of a fragment, which comes from the metadata.
 */
#include "fuzz.h"

#include <string.h>

#include "../../plugins/store/dir/dir.h"

static void name(const uint8_t *data, size_t len)
{
	char *text = fuzz_alloc(len + 1), again[DIR_NAME];
	struct dir_name n, m;
	struct dynfs_place place;
	uint8_t frame[DIR_FRAME];

	memcpy(text, data, len);
	text[len] = '\0';
	if (dir_name_get(text, &n)) {
		dir_name_put(&n, again);
		FUZZ_MUST(!strcmp(text, again));
		dir_place_put(&n, &place);
		FUZZ_MUST(dir_place_get(&n.id, &place, &m));
		FUZZ_MUST(m.serial == n.serial && m.head_len == n.head_len &&
			  m.payload_len == n.payload_len);
		dir_frame_put(&n, frame);
		FUZZ_MUST(dir_frame_matches(&n, frame));
		FUZZ_MUST(dir_fan(&n.id) < DIR_FANOUT);
	}
	free(text);
}

static void place(const uint8_t *data, size_t len)
{
	struct dynfs_fragment_id id = { .epoch = 1, .counter = 2 };
	char text[DIR_NAME];
	struct dynfs_place p;
	struct dir_name n, m;

	if (len < sizeof(p))
		return;
	memcpy(&p, data, sizeof(p));
	if (!dir_place_get(&id, &p, &n))
		return;
	dir_name_put(&n, text);
	FUZZ_MUST(strlen(text) < DIR_NAME);
	/* what a place spells is a name, or none that a write ever made */
	if (dir_name_get(text, &m))
		FUZZ_MUST(m.serial == n.serial);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	name(data, len);
	place(data, len);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	struct dir_name n = { .id = { .epoch = 0x1234567890abcdefull,
				      .counter = 77,
				      .index = 5 },
			      .serial = 0xabcdef,
			      .head_len = 600,
			      .payload_len = 262144 };
	char text[DIR_NAME];

	dir_name_put(&n, text);
	put(ctx, "name", text, strlen(text));
	n.id.index = UINT32_MAX;
	n.head_len = DIR_HEAD_MAX;
	n.payload_len = DIR_PAYLOAD_MAX;
	dir_name_put(&n, text);
	put(ctx, "largest", text, strlen(text));
}
