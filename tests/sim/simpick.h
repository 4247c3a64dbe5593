/* SPDX-License-Identifier: Apache-2.0 */
/* One bit of some file, by chance. */
#ifndef TESTS_SIM_SIMPICK_H
#define TESTS_SIM_SIMPICK_H

#include "simos.h"

#include <stddef.h>

#define SIMPICK_PATH 256u

/*
 * Goes down from path to a file, and appends where it is; its size, 0 when
 * there was none on the way.
 */
uint64_t simpick_file(struct simos *s, char path[SIMPICK_PATH], uint64_t seed);
/* Flips a bit of a file at or below path; false: of none. */
bool simpick_flip(struct simos *s, char path[SIMPICK_PATH], uint64_t seed);

#endif
