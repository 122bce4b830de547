/* activation.h -- the listening sockets that systemd passes: sd_listen_fds(3). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;

enum { ACTIVATION_MAX = 16 };

/* Find those with the name "admin" (FileDescriptorName=), or those without. Returns how many, or -1 with an error where
 * more were passed than can be used. */
int activation_find(bool admin, int sockets[ACTIVATION_MAX], struct error *);
