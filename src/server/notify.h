/* notify.h -- tells the service manager how things stand: sd_notify(3). */
#pragma once

#include <stdint.h>

/* Take the socket that NOTIFY_SOCKET names; without one nothing is told. Before other threads start, and before a
 * sandbox. */
void notify_open(void);
void notify_close(void);

/* How often "WATCHDOG=1" is due: four times in the time after which the manager takes the process for dead; 0: it does
 * not watch. */
int64_t notify_watchdog_ms(void);

/* Send "VARIABLE=value" lines, such as "READY=1". Any thread. */
__attribute__((format(printf, 1, 2))) void notify_send(const char *format, ...);
