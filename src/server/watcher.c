/* watcher.c -- what may have changed, and which files are still being written. */
#include "server/watcher.h"

#include <sys/inotify.h>
#include <sys/vfs.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/name.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/watches.h"

enum {
	WRITER_HOLD_MS = 2000, /* a writer that pauses so long holds up its own file alone */
	EVENT_BYTES = 16 * 1024,
};

/* Never opens or reads: the watcher would see its own looks. */
static const uint32_t name_events = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
				    IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR |
				    IN_MASK_ADD;
static const uint32_t file_events = IN_MODIFY | IN_CLOSE_WRITE | IN_EXCL_UNLINK;

/* A name that was moved away last. */
struct move {
	uint32_t cookie; /* that the event of the new name has too */
	struct sighting own;
	char path[PATH_MAX];
};

struct watcher {
	int descriptor;
	struct watches watches;
	struct marks marks;
	bool news; /* that nobody has asked for yet */
	bool locked; /* somebody changes many files, by the last event of the lock */
	enum blindness blindness; /* in the look under way */
	bool without_inotify;
	struct move move;
	int64_t read_ns; /* when events were read last, on CLOCK_REALTIME */
	struct watcher_state state;
};

/* Note that changes go unseen at a path, NULL for all of them, and why. */
static void
note_blind(struct watcher *watcher, enum blindness blindness, const char *path, const char *why)
{
	static const char *const messages[] = {
		[BLIND_ON_DEMAND] = "inotify is not used",
		[BLIND_WITHOUT_INOTIFY] = "inotify cannot be had",
		[BLIND_WITHOUT_WATCH] = "cannot watch",
		[BLIND_FILE_SYSTEM] = "changes may go unseen in",
	};
	const char *quote = path != NULL ? "\"" : "";
	if (watcher->blindness == SEES_ALL)
		snprintf(watcher->state.reason, sizeof(watcher->state.reason), "%s%s%s%s%s: %s",
			messages[blindness], path != NULL ? " " : "", quote,
			path != NULL ? path : "", quote, why);
	watcher->blindness = blindness;
}

/* Returns whether there is inotify. */
static bool
start_inotify(struct watcher *watcher)
{
	if (watcher->descriptor >= 0)
		return true;
	if (watcher->without_inotify) {
		note_blind(watcher, BLIND_ON_DEMAND, NULL, "--watch poll");
		return false;
	}
	watcher->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watcher->descriptor < 0) {
		watcher->state.errors[watch_error_of(errno)]++;
		note_blind(watcher, BLIND_WITHOUT_INOTIFY, NULL,
			errno == EMFILE ? "raise fs.inotify.max_user_instances" : strerror(errno));
	}
	return watcher->descriptor >= 0;
}

struct watcher *
watcher_new(bool without_inotify)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	if (watcher == NULL)
		return NULL;
	watcher->descriptor = -1;
	watcher->without_inotify = without_inotify;
	marks_all(&watcher->marks);
	return watcher;
}

static void
stop_inotify(struct watcher *watcher)
{
	if (watcher->descriptor >= 0)
		close(watcher->descriptor);
	watcher->descriptor = -1;
	watches_clear(&watcher->watches);
}

void
watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	stop_inotify(watcher);
	marks_clear(&watcher->marks);
	free(watcher);
}

int
watcher_descriptor(const struct watcher *watcher)
{
	return watcher->descriptor;
}

struct marks *
watcher_marks(struct watcher *watcher)
{
	return &watcher->marks;
}

/* What is known of all places is known anew only from a look at everything. */
void
watcher_begin(struct watcher *watcher)
{
	marks_begin_look(&watcher->marks);
	watcher->blindness = marks_has_all(&watcher->marks) ? SEES_ALL : watcher->state.blindness;
	start_inotify(watcher);
	watches_begin(&watcher->watches);
}

/* File systems on which others make changes that inotify does not see: statfs(2). */
static bool
is_remote(int directory)
{
	static const unsigned long types[] = {
		0x6969, /* NFS */
		0x517b, 0xfe534d42, 0xff534d42, /* SMB */
		0x01021997, /* 9p */
		0x65735546, /* FUSE */
		0x00c36400, /* Ceph */
		0x6a656a63, /* virtiofs, where it is not FUSE */
	};
	struct statfs stat;
	if (fstatfs(directory, &stat) != 0)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((unsigned long)stat.f_type == types[i])
			return true;
	return false;
}

void
watcher_add(void *context, const struct lookup *lookup)
{
	struct watcher *watcher = context;
	char name[sizeof("/proc/self/fd/") + 12];
	bool of_files = lookup->kind == LOOKUP_NAMES || lookup->kind == LOOKUP_FILE;
	if (watcher->descriptor < 0)
		return;
	if (lookup->kind == LOOKUP_NAMES && is_remote(lookup->directory))
		note_blind(
			watcher, BLIND_FILE_SYSTEM, lookup->path, "a network or FUSE file system");
	/* Through the descriptor it is surely the directory that is then read. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", lookup->directory);
	int id = inotify_add_watch(
		watcher->descriptor, name, of_files ? name_events | file_events : name_events);
	int reason = errno;
	if (id >= 0 && watches_add(&watcher->watches, id, lookup) == 0)
		return;
	if (id >= 0)
		reason = ENOMEM;
	watcher->state.errors[watch_error_of(reason)]++;
	note_blind(watcher, BLIND_WITHOUT_WATCH, lookup->path,
		reason == ENOSPC ? "raise fs.inotify.max_user_watches" : strerror(reason));
}

void
watcher_end(struct watcher *watcher)
{
	bool was_blind = watcher->state.blindness != SEES_ALL;
	bool is_blind = watcher->blindness != SEES_ALL;
	watches_end(&watcher->watches, watcher->descriptor, &watcher->marks);
	watcher->state.inotify = watcher->descriptor >= 0;
	watcher->state.watches = (unsigned)watcher->watches.count;
	watcher->state.blindness = watcher->blindness;
	if (is_blind && !was_blind)
		log_write(watcher->without_inotify ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
			"not every change can be seen: looking by the clock",
			LOG_TEXT("reason", watcher->state.reason), LOG_END);
	else if (!is_blind && was_blind)
		log_write(LOG_LEVEL_INFO, "every directory is watched again", LOG_END);
	if (!is_blind)
		*watcher->state.reason = '\0';
}

/* What an event says of the content of the file it names; ATTRIB says nothing. A file that was just made
 * may be a link to something that is being written. */
static void
take_evidence(struct watcher *watcher, struct mark *mark, enum lookup_kind kind, uint32_t events,
	int64_t now_ms)
{
	static const struct {
		uint32_t events;
		enum evidence evidence;
	} meanings[] = {
		{IN_MODIFY,			     EVIDENCE_WRITING },
		{IN_CLOSE_WRITE | IN_MOVED_TO,          EVIDENCE_COMPLETE},
		{IN_CREATE | IN_DELETE | IN_MOVED_FROM, EVIDENCE_NONE    },
	};
	struct sighting *sighting = kind == LOOKUP_FILE ? &mark->target : &mark->own;
	if (kind == LOOKUP_HOP) /* a link leads to another file now */
		mark->target = (struct sighting){EVIDENCE_NONE, now_ms};
	bool of_file = (events & IN_ISDIR) == 0 && kind != LOOKUP_HOP;
	for (size_t i = 0; of_file && i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if ((events & meanings[i].events) != 0)
			*sighting = (struct sighting){meanings[i].evidence, now_ms};
	mark->events++;
	mark->read_ns = watcher->read_ns;
	mark->transacted = watcher->locked;
	mark->fresh = true;
}

/* Whether an event of a name can be about a prompt file, or a directory with some. */
static bool
is_relevant(const char *name, uint32_t events)
{
	const uint32_t entry_events =
		IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ISDIR;
	return !name_is_ignored(name) &&
	       (name_is_prompt_file(name) || (events & entry_events) != 0);
}

/* The path that a name of a directory makes. Returns false where that is too long. */
static bool
join(const struct use *use, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s%s%s", use->path, *use->path != '\0' ? "/" : "", name) <
	       PATH_MAX;
}

static void
note_move(struct watcher *watcher, const struct mark *mark, const struct inotify_event *event)
{
	struct move *move = &watcher->move;
	if ((event->mask & IN_MOVED_FROM) == 0)
		return;
	*move = (struct move){.cookie = event->cookie, .own = mark->own};
	snprintf(move->path, sizeof(move->path), "%s", mark->path);
}

/* What is being written is so under its new name too, and what is known of the files in a directory is not about
 * those of another in its place. */
static void
follow_move(struct watcher *watcher, struct mark *mark, const struct inotify_event *event)
{
	const struct move *move = &watcher->move;
	bool is_directory = (event->mask & IN_ISDIR) != 0;
	bool is_moved = (event->mask & IN_MOVED_TO) != 0 && event->cookie == move->cookie;
	if (is_directory && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
		marks_forget_below(&watcher->marks, mark->path);
	if (is_directory && is_moved)
		marks_move_writers(&watcher->marks, move->path, mark->path);
	else if (is_moved && move->own.evidence == EVIDENCE_WRITING)
		mark->own = move->own;
}

/* Whether a link was renamed into its place that brings all behind it at once: one on the way to the prompt
 * directory, or a ConfigMap's. */
static bool
is_swap(const struct use *use, const struct inotify_event *event)
{
	return use->kind == LOOKUP_HOP && event->len > 0 &&
	       (event->mask & (IN_MOVED_TO | IN_ISDIR)) == IN_MOVED_TO &&
	       (*use->path == '\0' || strcmp(use->name, tree_pin_name) == 0);
}

/* Mark what one use of a directory makes of an event. Where a link was swapped, *swapped is its mark. */
static bool
take_use(struct watcher *watcher, const struct use *use, const struct inotify_event *event,
	int64_t now_ms, const struct mark **swapped)
{
	char path[PATH_MAX];
	const char *name = event->len > 0 ? event->name : NULL;
	const char *at = use->path;
	if (name != NULL && use->kind == LOOKUP_NAMES) {
		if (!is_relevant(name, event->mask) || !join(use, name, path))
			return false;
		at = path;
	} else if (name != NULL && strcmp(name, use->name) != 0) {
		return false;
	}
	if (name != NULL && use->kind == LOOKUP_NOTE)
		return true;
	if (name != NULL && use->kind == LOOKUP_LOCK) {
		if ((event->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0)
			watcher->locked = (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0;
		return true;
	}
	struct mark *mark = marks_make(&watcher->marks, at);
	if (mark == NULL)
		return true;
	note_move(watcher, mark, event);
	take_evidence(watcher, mark, use->kind, name != NULL ? event->mask : 0, now_ms);
	if (use->kind == LOOKUP_NAMES)
		follow_move(watcher, mark, event);
	if (is_swap(use, event))
		*swapped = mark;
	return true;
}

static bool
take_event(struct watcher *watcher, const struct inotify_event *event, int64_t now_ms)
{
	bool matters = false;
	watcher->state.events++;
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		log_write(LOG_LEVEL_WARN, "events were lost: looking everywhere", LOG_END);
		watcher->state.overflows++;
		marks_lose(&watcher->marks);
		return true;
	}
	const struct watch *watch = watches_find(&watcher->watches, event->wd);
	const struct mark *swapped = NULL;
	for (size_t i = 0; watch != NULL && i < watch->count; i++)
		matters |= take_use(watcher, &watch->uses[i], event, now_ms, &swapped);
	if (swapped != NULL) /* what is still done behind the link is nobody's business */
		watches_leave(&watcher->watches, swapped->path);
	if ((event->mask & IN_IGNORED) != 0)
		watches_forget(&watcher->watches, event->wd);
	return matters;
}

void
watcher_read(struct watcher *watcher, int64_t now_ms)
{
	_Alignas(struct inotify_event) char events[EVENT_BYTES];
	while (watcher->descriptor >= 0) {
		ssize_t length = read(watcher->descriptor, events, sizeof(events));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno == EAGAIN)
			break;
		if (length <= 0) { /* start anew, with a look at everything */
			stop_inotify(watcher);
			watcher->state.restarts++;
			marks_lose(&watcher->marks);
			watcher->news = true;
			return;
		}
		watcher->read_ns = clock_real_ns();
		for (const char *at = events; at < events + length;) {
			const struct inotify_event *event = (const void *)at;
			watcher->news |= take_event(watcher, event, now_ms);
			at += sizeof(*event) + event->len;
		}
	}
}

bool
watcher_take_news(struct watcher *watcher)
{
	bool news = watcher->news;
	watcher->news = false;
	return news;
}

enum evidence
watcher_evidence(
	const struct watcher *watcher, const char *path, bool is_linked, int64_t changed_ns)
{
	const struct mark *mark = marks_find(&watcher->marks, path);
	if (mark == NULL)
		return EVIDENCE_NONE;
	if (mark_written_ms(mark) > 0)
		return EVIDENCE_WRITING;
	/* The kernel tells of a change only once it is made: what is newer than the last event is not told. */
	enum evidence evidence = is_linked ? mark->target.evidence : mark->own.evidence;
	bool is_told = changed_ns <= mark->read_ns;
	return evidence == EVIDENCE_COMPLETE && is_told ? EVIDENCE_COMPLETE : EVIDENCE_NONE;
}

int64_t
watcher_written_ms(const struct watcher *watcher, const char *path)
{
	const struct mark *mark = marks_find(&watcher->marks, path);
	return mark != NULL ? mark_written_ms(mark) : 0;
}

void
watcher_note_complete(struct watcher *watcher, const char *path, int64_t now_ms)
{
	struct mark *mark = marks_make(&watcher->marks, path);
	if (mark == NULL)
		return;
	mark->own = mark->target = (struct sighting){EVIDENCE_COMPLETE, now_ms};
	mark->read_ns = clock_real_ns();
	mark->fresh = true;
}

bool
watcher_knows_gone(const struct watcher *watcher, const char *path)
{
	const struct mark *mark = marks_find(&watcher->marks, path);
	struct mark_above above = marks_above(&watcher->marks, path);
	bool transacted = above.transacted || (mark != NULL && mark->transacted);
	return transacted && !watcher->locked;
}

bool
watcher_sees_writing(const struct watcher *watcher, int64_t now_ms)
{
	for (const struct mark *mark = watcher->marks.first; mark != NULL; mark = mark->next)
		if (mark_written_ms(mark) > now_ms - WRITER_HOLD_MS && mark_written_ms(mark) > 0)
			return true;
	return false;
}

const struct watcher_state *
watcher_state(const struct watcher *watcher)
{
	return &watcher->state;
}
