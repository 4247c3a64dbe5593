/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of numbers: of disks, users, groups. */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* malloc'd, NULL for none; -ENOMEM. */
static inline int ids_copy(const uint32_t *from, uint32_t n, uint32_t **ret)
{
	*ret = NULL;
	if (!n)
		return 0;
	*ret = (uint32_t *)malloc(n * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, from, n * sizeof(**ret));
	return 0;
}

#endif
