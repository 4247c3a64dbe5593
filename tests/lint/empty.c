/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing, as a shared object: what check-symbols.py measures plugins by.
 * The tool chain puts a few bytes of its own into every .so (8 in .data, .bss
 * and .init_array each with Debian 12's gcc); counting them here rather than
 * writing them down keeps the test true for another compiler.
 */
extern int not_empty;
