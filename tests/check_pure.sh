#!/bin/sh
# Fail when the core's archive needs a symbol that is neither its own nor on this list of pure ones.
set -eu
pure='malloc|calloc|realloc|free|mem[a-z]+|str[a-z0-9_]+|snprintf|vsnprintf|qsort|bsearch
sprintf|fnmatch|tsearch|tfind|tdestroy|abort|__assert_fail|__stack_chk_fail|__errno_location
pthread_mutex_[a-z]+|yaml_[a-z_]+|cJSON_[A-Za-z]+|nettle_[a-z0-9_]+|inet_pton
__(asan|ubsan|tsan|sanitizer|gcov)_.*|_GLOBAL_OFFSET_TABLE_'
pure=$(echo "$pure" | paste -sd'|')
own=$(nm -g --defined-only "$1" | awk 'NF == 3 {print $3}' | sort -u)
# Fortified and versioned names count as the plain ones.
needed=$(nm -u "$1" | awk 'NF == 2 {print $2}' |
	sed -E 's/@.*//; s/^__(.*)_chk$/\1/; s/^__isoc[0-9]+_//' | sort -u)
impure=$(echo "$needed" | grep -vxF "$own" | grep -vxE "$pure" || true)
if [ -n "$impure" ]; then
	echo "the core is not pure, it needs:" $impure
	exit 1
fi
