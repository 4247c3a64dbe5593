# How everything is compiled: language, warnings, hardening, sanitizers.
option(DYNFS_WERROR "treat warnings as errors" ON)
option(DYNFS_TESTS "build the tests" ON)
option(DYNFS_FUZZ "build the programs of libFuzzer (with clang)" OFF)
set(DYNFS_CONFIG_DIR /etc/dynfs CACHE STRING
    "where a pool that is named without a path has its configuration")
set(DYNFS_SANITIZE "" CACHE STRING
    "sanitizers for the whole build: address,undefined or thread")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(dynfs_flags INTERFACE)
target_compile_definitions(dynfs_flags INTERFACE _GNU_SOURCE
	_FILE_OFFSET_BITS=64)
target_compile_options(dynfs_flags INTERFACE
	$<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wvla -Wcast-qual
	-Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wpointer-arith
	-fno-strict-aliasing -fno-semantic-interposition
	-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=>)
if(DYNFS_WERROR)
	target_compile_options(dynfs_flags INTERFACE
		$<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
# For all that a fuzzer is to see the branches of; see tests/fuzz.
if(DYNFS_FUZZ)
	include(CheckCSourceCompiles)
	set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
	check_c_source_compiles("
		#include <stddef.h>
		#include <stdint.h>
		int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
		int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
		{ return !d && n; }" DYNFS_HAS_LIBFUZZER)
	unset(CMAKE_REQUIRED_FLAGS)
	if(DYNFS_HAS_LIBFUZZER)
		target_compile_options(dynfs_flags INTERFACE
			-fsanitize=fuzzer-no-link)
	else()
		message(STATUS "no programs of libFuzzer: ${CMAKE_C_COMPILER} "
			"has no -fsanitize=fuzzer (Debian: clang, "
			"libclang-rt-14-dev)")
		set(DYNFS_FUZZ OFF)
	endif()
endif()
if(DYNFS_SANITIZE)
	target_compile_options(dynfs_flags INTERFACE
		-fsanitize=${DYNFS_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	target_link_options(dynfs_flags INTERFACE
		-fsanitize=${DYNFS_SANITIZE})
else()
	target_compile_definitions(dynfs_flags INTERFACE
		$<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
	target_compile_options(dynfs_flags INTERFACE
		-fstack-protector-strong)
	target_link_options(dynfs_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
