/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Features of the records: docs/design/format.md sections 1 and 4.9.
 *
 * Labels, logs and checkpoints say themselves what they need; a record is too
 * small for that.  So the map holds, for each kind of record that may be other
 * than in version 1, a row that names the features of its records.  It is
 * put by the batch that makes the first such record possible, and asked for
 * whenever the state moves on while a pool is opened: before the end of the
 * log is judged by records, before anything is cut, before anything is served.
 */
#include <meta/internal.h>

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX     "M" FACT_FEATURES
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/* All kinds of which version 1 has records. */
static const char kinds[] = "ISDPELRQWZOXUM";

/* 0, -EROFS, -EOPNOTSUPP; -EUCLEAN: nobody knows */
static int row_check(const char *kind, size_t kind_len, const void *value,
		     size_t value_len)
{
	struct rd r = rd_of(value, value_len);
	struct features f = { 0 };
	char what[64], shown[17] = { 0 };
	int err = rd8(&r) == 1 ? features_get(&r, &f) : -EUCLEAN;

	if (!err)
		err = rd_end(&r);
	memset(shown, '?', kind_len < 16 ? kind_len : 16);
	for (size_t i = 0; i < kind_len && i < 16; i++)
		if (kind[i] > ' ' && kind[i] <= '~')
			shown[i] = kind[i];
	(void)snprintf(what, sizeof(what), "the kind '%s' of metadata", shown);
	if (err == -EUCLEAN)
		(void)fail(err, "the record of the features of %s is damaged",
			   what);
	else if (!err && kind_len == 1 && *kind && strchr(kinds, *kind))
		err = features_check(&f, what);
	else if (!err)
		err = features_check_strange(&f, what);
	features_done(&f);
	return err;
}

static int each(void *ctx, const void *key, size_t key_len, const void *value,
		size_t value_len)
{
	bool *readonly = (bool *)ctx;
	int r;

	/* the scan ends with the prefix, so the key is as long */
	r = row_check((const char *)key + PREFIX_LEN, key_len - PREFIX_LEN,
		      value, value_len);
	if (r != -EROFS)
		return r;
	log_error("meta", "%s", fail_text(r));
	*readonly = true;
	return 0;
}

int features_of_state(struct meta *m, bool *ret_readonly)
{
	bool readonly = false;
	int r = meta_scan(m, PREFIX, PREFIX_LEN, NULL, 0, each, &readonly);

	if (!r)
		*ret_readonly = readonly;
	return r;
}

int features_settle(struct meta *m)
{
	bool readonly;
	int r = features_of_state(m, &readonly);

	if (!r && readonly && !m->readonly) {
		m->readonly = true;
		m->why = "records have a feature of a newer program";
	}
	return r;
}
