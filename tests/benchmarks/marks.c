/* What tells callgrind where counting begins and ends. In a program that does not run under valgrind they do nothing. */

#include <valgrind/callgrind.h>

void begin(void) {
    CALLGRIND_START_INSTRUMENTATION;
}

void zero(void) {
    CALLGRIND_ZERO_STATS;
}

void dump(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
}
