/* request_id.c -- names a request, for its answer and the log. */
#include "server/request_id.h"

#include <sys/random.h>

#include <endian.h>
#include <stdint.h>

#include "core/text.h"
#include "server/clock.h"

void
request_id_make(char id[REQUEST_ID_BYTES])
{
	static _Thread_local uint64_t last;
	if (last == 0 && getrandom(&last, sizeof(last), GRND_NONBLOCK) != sizeof(last))
		last = (uint64_t)clock_us(); /* where there is no chance yet, soon after a boot */
	uint64_t next = htobe64(++last);
	text_put_hex(id, (const unsigned char *)&next, sizeof(next));
	id[REQUEST_ID_BYTES - 1] = '\0';
}
