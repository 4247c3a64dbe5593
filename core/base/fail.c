/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message of the failure in progress, one per thread.
 *
 * A buffer of fixed size in thread-local storage: reporting an error must not
 * fail for want of memory, and no string changes hands.
 */
#include <base/fail.h>

#include <stdio.h>
#include <string.h>

static _Thread_local char fail_buf[FAIL_TEXT_MAX];
static _Thread_local char fail_name_buf[16];

int fail_va(int err, const char *fmt, va_list ap)
{
	char text[FAIL_TEXT_MAX]; /* arguments may point into fail_buf */

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	memcpy(fail_buf, text, sizeof(fail_buf));
	return err;
}

int fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fail_va(err, fmt, ap);
	va_end(ap);
	return err;
}

int fail_wrap(int err, const char *fmt, ...)
{
	char head[FAIL_TEXT_MAX], whole[2 * FAIL_TEXT_MAX + 4];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	(void)snprintf(whole, sizeof(whole), "%s: %s", head, fail_text(err));
	whole[FAIL_TEXT_MAX - 1] = '\0';
	memcpy(fail_buf, whole, sizeof(fail_buf));
	return err;
}

const char *fail_text(int err)
{
	const char *text;

	if (fail_buf[0])
		return fail_buf;
	text = strerrordesc_np(err < 0 ? -err : err);
	return text ? text : "unknown error";
}

int fail_has_text(void)
{
	return fail_buf[0] != '\0';
}

void fail_clear(void)
{
	fail_buf[0] = '\0';
}

void fail_keep(char ret[FAIL_TEXT_MAX])
{
	(void)snprintf(ret, FAIL_TEXT_MAX, "%s", fail_buf);
	fail_clear();
}

void fail_back(const char kept[FAIL_TEXT_MAX])
{
	(void)snprintf(fail_buf, sizeof(fail_buf), "%s", kept);
}

const char *fail_name(int err)
{
	const char *name = strerrorname_np(err < 0 ? -err : err);

	if (name)
		return name;
	(void)snprintf(fail_name_buf, sizeof(fail_name_buf), "E%d",
		       err < 0 ? -err : err);
	return fail_name_buf;
}
