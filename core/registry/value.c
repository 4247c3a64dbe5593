/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of options.  One parser serves configuration files, command lines
 * and defaults; what differs is how a value was written.  A quoted "8" is not
 * an integer in a file, because there the writer could have left the quotes
 * out and a later reader would wonder; on a command line there are no quotes.
 */
#include <registry/value.h>

#include <base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

size_t value_width(uint32_t type)
{
	switch (type) {
	case DYNFS_OPT_BOOL:
	case DYNFS_OPT_ENUM:
		return sizeof(int32_t);
	case DYNFS_OPT_INT:
		return sizeof(int64_t);
	case DYNFS_OPT_SIZE:
		return sizeof(uint64_t);
	case DYNFS_OPT_STR:
		return sizeof(char *);
	default:
		return 0;
	}
}

const char *reg_type_word(uint32_t type)
{
	switch (type) {
	case DYNFS_OPT_BOOL:
		return "boolean";
	case DYNFS_OPT_INT:
		return "integer";
	case DYNFS_OPT_SIZE:
		return "size";
	case DYNFS_OPT_STR:
		return "string";
	case DYNFS_OPT_ENUM:
		return "choice";
	default:
		return "unknown";
	}
}

static bool value_limited(const struct dynfs_option *o)
{
	return o->min || o->max;
}

static int value_bool(const char *text, struct value *ret)
{
	static const char *const yes[] = { "true", "yes", "on", "1" };
	static const char *const no[] = { "false", "no", "off", "0" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); ++i) {
		ret->number = !strcasecmp(text, yes[i]);
		if (ret->number || !strcasecmp(text, no[i]))
			return 0;
	}
	return -EINVAL;
}

static int value_size(const struct dynfs_option *o, const char *text,
		      struct value *ret)
{
	int r = str_parse_size(text, &ret->bytes);

	if (r < 0 || !value_limited(o))
		return r;
	if ((o->min > 0 && ret->bytes < (uint64_t)o->min) ||
	    (o->max >= 0 && ret->bytes > (uint64_t)o->max))
		return -ERANGE;
	return 0;
}

static int value_int(const struct dynfs_option *o, const char *text,
		     struct value *ret)
{
	int r = str_parse_int(text, &ret->number);

	if (r < 0 || !value_limited(o))
		return r;
	return ret->number < o->min || ret->number > o->max ? -ERANGE : 0;
}

static int value_enum(const struct dynfs_option *o, const char *text,
		      struct value *ret)
{
	for (int32_t i = 0; o->choices && o->choices[i]; ++i)
		if (!strcmp(text, o->choices[i])) {
			ret->number = i;
			return 0;
		}
	return -EINVAL;
}

int value_parse(const struct dynfs_option *o, enum reg_form form,
		const char *text, struct value *ret)
{
	*ret = (struct value){ 0 };
	if (form == REG_OTHER)
		return -EINVAL;
	switch (o->type) {
	case DYNFS_OPT_BOOL:
		if (form != REG_BOOL && form != REG_WORD)
			return -EINVAL;
		return value_bool(text, ret);
	case DYNFS_OPT_INT:
		if (form != REG_NUMBER && form != REG_WORD)
			return -EINVAL;
		return value_int(o, text, ret);
	case DYNFS_OPT_SIZE:
		if (form == REG_BOOL)
			return -EINVAL;
		return value_size(o, text, ret);
	case DYNFS_OPT_STR:
		if (form != REG_STRING && form != REG_WORD)
			return -EINVAL;
		ret->str = text;
		return 0;
	case DYNFS_OPT_ENUM:
		if (form != REG_STRING && form != REG_WORD)
			return -EINVAL;
		return value_enum(o, text, ret);
	default:
		return -EINVAL;
	}
}

void value_store(const struct dynfs_option *o, const struct value *v,
		 void *config)
{
	char *at = (char *)config + o->offset;
	int32_t small = (int32_t)v->number;

	switch (o->type) {
	case DYNFS_OPT_BOOL:
	case DYNFS_OPT_ENUM:
		memcpy(at, &small, sizeof(small));
		break;
	case DYNFS_OPT_INT:
		memcpy(at, &v->number, sizeof(v->number));
		break;
	case DYNFS_OPT_SIZE:
		memcpy(at, &v->bytes, sizeof(v->bytes));
		break;
	default:
		memcpy(at, &v->str, sizeof(v->str));
		break;
	}
}

static void value_print_str(const char *s, struct buf *out)
{
	for (; *s; ++s) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_put8(out, c);
	}
}

void value_print(const struct dynfs_option *o, const void *config,
		 struct buf *out)
{
	const char *at = (const char *)config + o->offset;
	const char *str;
	uint64_t bytes;
	int64_t number;
	int32_t small;

	buf_printf(out, "%s=", o->name);
	switch (o->type) {
	case DYNFS_OPT_BOOL:
		memcpy(&small, at, sizeof(small));
		buf_printf(out, "%s", small ? "true" : "false");
		break;
	case DYNFS_OPT_ENUM:
		memcpy(&small, at, sizeof(small));
		buf_printf(out, "%s", o->choices[small]);
		break;
	case DYNFS_OPT_INT:
		memcpy(&number, at, sizeof(number));
		buf_printf(out, "%" PRId64, number);
		break;
	case DYNFS_OPT_SIZE:
		memcpy(&bytes, at, sizeof(bytes));
		buf_printf(out, "%" PRIu64, bytes);
		break;
	default:
		memcpy(&str, at, sizeof(str));
		value_print_str(str ? str : "", out);
		break;
	}
	buf_put8(out, '\n');
}

/* Sizes as a person would write them, only where that is exact. */
static void value_put_size(uint64_t bytes, struct buf *out)
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	while (bytes && bytes % 1024 == 0 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	buf_printf(out, "%" PRIu64, bytes);
	if (unit >= 0)
		buf_put8(out, (uint8_t)units[unit]);
}

static void value_expect_range(const struct dynfs_option *o, struct buf *out)
{
	bool size = o->type == DYNFS_OPT_SIZE;

	if (!value_limited(o))
		return;
	buf_put8(out, ' ');
	if (size)
		value_put_size(o->min > 0 ? (uint64_t)o->min : 0, out);
	else
		buf_printf(out, "%" PRId64, o->min);
	if (o->max == INT64_MAX) {
		buf_printf(out, " or more");
		return;
	}
	buf_printf(out, "..");
	if (size)
		value_put_size((uint64_t)o->max, out);
	else
		buf_printf(out, "%" PRId64, o->max);
}

void reg_expect(const struct dynfs_option *option, struct buf *out)
{
	switch (option->type) {
	case DYNFS_OPT_BOOL:
		buf_printf(out, "true or false");
		break;
	case DYNFS_OPT_ENUM:
		buf_printf(out, "one of ");
		for (size_t i = 0; option->choices && option->choices[i]; ++i)
			buf_printf(out, "%s\"%s\"", i ? ", " : "",
				   option->choices[i]);
		break;
	case DYNFS_OPT_INT:
	case DYNFS_OPT_SIZE:
		buf_printf(out, "%s", reg_type_word(option->type));
		value_expect_range(option, out);
		break;
	default:
		buf_printf(out, "string");
		break;
	}
}
