/* request_id.h -- names a request, for its answer and the log. */
#pragma once

enum { REQUEST_ID_BYTES = 17 }; /* with the NUL */

/* Make an id that no other request has, but for chance. Any thread. */
void request_id_make(char id[REQUEST_ID_BYTES]);
