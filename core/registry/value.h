/* SPDX-License-Identifier: Apache-2.0 */
/* One option's value: from text, checked, and back to text. */
#ifndef REGISTRY_VALUE_H
#define REGISTRY_VALUE_H

#include <registry/registry.h>

/* The value in every shape it can have; which one follows from the type. */
struct value {
	int64_t number;  /* BOOL, INT, ENUM */
	uint64_t bytes;  /* SIZE */
	const char *str; /* STR: borrowed */
};

/*
 * -EINVAL: text, written as form, is not of the option's type; -ERANGE: it
 * is, but out of range.  No fail() text: the caller knows the place.
 */
int value_parse(const struct dynfs_option *o, enum reg_form form,
		const char *text, struct value *ret);
/* Store it where the option says; width was checked. */
void value_store(const struct dynfs_option *o, const struct value *v,
		 void *config);
/* "name=value\n" of what is stored, canonical. */
void value_print(const struct dynfs_option *o, const void *config,
		 struct buf *out);
/* How wide a member of this type is; 0: no such type. */
size_t value_width(uint32_t type);

#endif
