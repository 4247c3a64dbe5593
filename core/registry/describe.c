/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin in words, from its own table: what manuals are made from too. */
#include <registry/registry.h>

const char *reg_threading_word(uint32_t threading)
{
	switch (threading) {
	case DYNFS_PARALLEL:
		return "parallel";
	case DYNFS_SERIAL_INSTANCE:
		return "one call at a time per instance";
	default:
		return "one call at a time";
	}
}

static void describe_flags(const struct dynfs_option *o, struct buf *out)
{
	if (o->flags & DYNFS_OPT_REQUIRED)
		buf_printf(out, ", required");
	if (o->flags & DYNFS_OPT_RELOAD)
		buf_printf(out, ", may change while running");
	if (o->flags & DYNFS_OPT_SECRET)
		buf_printf(out, ", secret");
	if (o->flags & DYNFS_OPT_FORMAT)
		buf_printf(out, ", fixed once data is written");
}

static void describe_option(const struct dynfs_option *o, struct buf *out)
{
	buf_printf(out, "  %s: ", o->name);
	reg_expect(o, out);
	if (o->unit)
		buf_printf(out, " (%s)", o->unit);
	if (o->def && !(o->flags & DYNFS_OPT_SECRET))
		buf_printf(out,
			   o->type == DYNFS_OPT_STR || o->type == DYNFS_OPT_ENUM
			       ? ", default \"%s\""
			       : ", default %s",
			   o->def);
	describe_flags(o, out);
	buf_printf(out, "\n      %s\n", o->help);
}

void reg_describe(const struct reg_plugin *plugin, struct buf *out)
{
	const struct dynfs_plugin *d = &plugin->desc;

	buf_printf(out, "%s/%s: %s\n", reg_kind_name(plugin->kind),
		   plugin->name, d->summary);
	buf_printf(out, "version: %s (ABI %u.%u)\n", d->version, d->abi_major,
		   d->abi_minor);
	buf_printf(out, "file: %s\n", plugin->path);
	buf_printf(out, "threads: %s\n", reg_threading_word(d->threading));
	if (plugin->warning)
		buf_printf(out, "warning: %s\n", plugin->warning);
	buf_printf(out, "options:%s\n", plugin->n_options ? "" : " none");
	for (size_t i = 0; i < plugin->n_options; ++i)
		describe_option(&plugin->options[i], out);
	buf_printf(out, "counters:");
	for (size_t i = 0; i < plugin->n_counters; ++i)
		buf_printf(out, "%s %s", i ? "," : "", d->counters[i]);
	buf_printf(out, "%s\n", plugin->n_counters ? "" : " none");
}
