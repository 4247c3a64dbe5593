/* SPDX-License-Identifier: Apache-2.0 */
/* A target under libFuzzer. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len <= FUZZ_LEN_MAX)
		fuzz_run(data, len);
	return 0;
}
