/* test_framing.c -- tests of where the requests of a connection begin and end. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "core/framing.h"

static const struct framing_limits limits = {
	.target_bytes = 64, .head_bytes = 256, .fields = 5, .body_bytes = 32};

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* In what is expected, each request ends in "|". */
static const struct {
	const char *name, *input, *expected;
} good[] = {
	{"nothing",               "",									  ""				   },
	{"a request",             GET "\r\n",								  GET "\r\n|"                          },
	{"a path",                "GET /a/%2F?x=y HTTP/1.1\r\n" HOST "\r\n",
         "GET /a/%2F?x=y HTTP/1.1\r\n" HOST "\r\n|"												 },
	{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n",                                                    "GET / HTTP/1.0\r\n\r\n|"            },
	{"OPTIONS *",             "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",                                        "OPTIONS * HTTP/1.1\r\n" HOST "\r\n|"},
	{"absolute form",         "GET http://a:80/x HTTP/1.1\r\n" HOST "\r\n",
         "GET http://a:80/x HTTP/1.1\r\n" HOST "\r\n|"											      },
	{"raw UTF-8 in a path",
         "GET /gr\xc3\xb6\xc3\x9f"
		"e HTTP/1.1\r\n" HOST "\r\n",
         "GET /gr\xc3\xb6\xc3\x9f"
		"e HTTP/1.1\r\n" HOST "\r\n|"												       },
	{"an empty Host",         "GET / HTTP/1.1\r\nHost:\r\n\r\n",                                           "GET / HTTP/1.1\r\nHost:\r\n\r\n|"   },
	{"an IPv6 Host",          "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n|"											      },
	{"an URL with IPv6",      "GET http://[::1]:80?x HTTP/1.1\r\n" HOST "\r\n",
         "GET http://[::1]:80?x HTTP/1.1\r\n" HOST "\r\n|"											  },
	{"spaces round a value",  "GET / HTTP/1.1\r\nhOST: \t a \t \r\n\r\n",
         "GET / HTTP/1.1\r\nhOST: \t a \t \r\n\r\n|"												},
	{"tab and obs-text",      GET "X: a\tb\xe9\r\n\r\n",                                                   GET "X: a\tb\xe9\r\n\r\n|"           },
	{"a body",                POST "Content-Length: 3\r\n\r\nabc",                                         POST "Content-Length: 3\r\n\r\nabc|" },
	{"a body of GET",         GET "Content-Length: 1\r\n\r\nx",                                            GET "Content-Length: 1\r\n\r\nx|"    },
	{"an empty body",         POST "Content-Length: 0\r\n\r\n",                                            POST "Content-Length: 0\r\n\r\n|"    },
	{"zeros in front",        POST "Content-Length: 0003\r\n\r\nabc",
         POST "Content-Length: 0003\r\n\r\nabc|"												    },
	{"HEAD says no body",     "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
         "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n|"										    },
	{"chunks",                CHUNKED "3\r\nabc\r\n1A\r\n01234567890123456789012345\r\n0\r\n\r\n",
         CHUNKED "3\r\nabc\r\n1A\r\n01234567890123456789012345\r\n0\r\n\r\n|"                                                                       },
	{"no chunk",              CHUNKED "0\r\n\r\n",							 CHUNKED "0\r\n\r\n|"                 },
	{"zeros of a chunk",      CHUNKED "0003\r\nabc\r\n000\r\n\r\n",
         CHUNKED "0003\r\nabc\r\n000\r\n\r\n|"												      },
	{"chunk extensions",      CHUNKED "3;a=b;c\r\nabc\r\n2 \t;x=\"y;\"\r\nde\r\n0;q\r\n\r\n",
         CHUNKED "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n|"												},
	{"trailers",              CHUNKED "1\r\na\r\n0\r\nX: y\r\nDigest: z\r\n\r\n",
         CHUNKED "1\r\na\r\n0\r\n\r\n|"													     },
	{"CHUNKED",               POST "Transfer-Encoding: Chunked \r\n\r\n0\r\n\r\n",
         POST "Transfer-Encoding: Chunked \r\n\r\n0\r\n\r\n|"										       },
	{"pipelined",             GET "\r\n" POST "Content-Length: 1\r\n\r\nx" CHUNKED "0\r\n\r\n" GET "\r\n",
         GET "\r\n|" POST "Content-Length: 1\r\n\r\nx|" CHUNKED "0\r\n\r\n|" GET "\r\n|"                                                            },
	{"empty lines in front",  "\r\n\r\n" GET "\r\n\r\n" GET "\r\n",                                        GET "\r\n|" GET "\r\n|"              },
	{"Expect",                POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx|"										 },
	{"the longest body",      POST "Content-Length: 32\r\n\r\n01234567890123456789012345678901",
         POST "Content-Length: 32\r\n\r\n01234567890123456789012345678901|"                                                                         },
	{"five fields",           GET "A: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n",
         GET "A: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n|"												},
};

/* What is refused, with the status. Whole requests in front of it are not taken back. */
static const struct {
	const char *name, *input;
	int status;
} bad[] = {
  /* heads */
	{"bare LF",		    "GET / HTTP/1.1\nHost: a\n\n",                                            400},
	{"bare LF in a field",         GET "X: y\n\r\n",							 400},
	{"bare LF at the end",         GET "\n",								 400},
	{"CR within a line",           GET "X: a\rb\r\n\r\n",						    400},
	{"CR CR LF",                   GET "X: a\r\r\n\r\n",						     400},
	{"CR in front",                "\rGET / HTTP/1.1\r\n" HOST "\r\n",                                       400},
	{"LF in front",                "\nGET / HTTP/1.1\r\n" HOST "\r\n",                                       400},
	{"only empty lines",           "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",                                   400},
	{"a space in the target",      "GET /x y HTTP/1.1\r\n" HOST "\r\n",                                      400},
	{"two spaces",                 "GET  / HTTP/1.1\r\n" HOST "\r\n",                                        400},
	{"a space behind",             "GET / HTTP/1.1 \r\n" HOST "\r\n",                                        400},
	{"a space in front",           " GET / HTTP/1.1\r\n" HOST "\r\n",                                        400},
	{"a tab",		      "GET\t/ HTTP/1.1\r\n" HOST "\r\n",                                        400},
	{"HTTP/0.9",                   "GET /\r\n",							      400},
	{"no target",                  "GET HTTP/1.1\r\n" HOST "\r\n",                                           400},
	{"a fragment",                 "GET /a#b HTTP/1.1\r\n" HOST "\r\n",                                      400},
	{"a target without slash",     "GET a HTTP/1.1\r\n" HOST "\r\n",                                         400},
	{"an authority as target",     "GET a:80 HTTP/1.1\r\n" HOST "\r\n",                                      400},
	{"two slashes",                "GET //x HTTP/1.1\r\n" HOST "\r\n",                                       400},
	{"an URL with a user",         "GET http://u@a/x HTTP/1.1\r\n" HOST "\r\n",                              400},
	{"an URL with a bad port",     "GET http://a:b/ HTTP/1.1\r\n" HOST "\r\n",                               400},
	{"an URL with a large port",   "GET http://a:99999/ HTTP/1.1\r\n" HOST "\r\n",                           400},
	{"an URL with half an IPv6",   "GET http://[::1/ HTTP/1.1\r\n" HOST "\r\n",                              400},
	{"an URL with a bracket",      "GET http://a]/ HTTP/1.1\r\n" HOST "\r\n",                                400},
	{"an URL with a percent",      "GET http://%/ HTTP/1.1\r\n" HOST "\r\n",                                 400},
	{"a tab before chunked",       POST "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",                      400},
	{"a tab before Expect's",      POST "Expect:\t100-continue\r\nContent-Length: 1\r\n\r\nx",               400},
	{"an URL without host",        "GET http:///x HTTP/1.1\r\n" HOST "\r\n",                                 400},
	{"another scheme",             "GET ftp://a/x HTTP/1.1\r\n" HOST "\r\n",                                 400},
	{"a control in the target",    "GET /\x01 HTTP/1.1\r\n" HOST "\r\n",                                     400},
	{"DEL in the target",          "GET /\x7f HTTP/1.1\r\n" HOST "\r\n",                                     400},
	{"lower case version",         "GET / http/1.1\r\n" HOST "\r\n",                                         400},
	{"a long version",             "GET / HTTP/4294967297.1\r\n" HOST "\r\n",                                400},
	{"a negative version",         "GET / HTTP/1.-1\r\n" HOST "\r\n",                                        400},
	{"HTTP/1.99",                  "GET / HTTP/1.99\r\n" HOST "\r\n",                                        400},
	{"HTTP/1.2",                   "GET / HTTP/1.2\r\n" HOST "\r\n",                                         505},
	{"HTTP/2.0",                   "PRI * HTTP/2.0\r\n\r\n",						 501},
	{"GET of HTTP/2.0",            "GET / HTTP/2.0\r\n\r\n",                                                 505},
	{"an unknown method",          "BREW / HTTP/1.1\r\n" HOST "\r\n",                                        501},
	{"lower case method",          "get / HTTP/1.1\r\n" HOST "\r\n",                                         501},
	{"CONNECT",		    "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n",                                  501},
	{"no method",                  "{} / HTTP/1.1\r\n" HOST "\r\n",                                          400},
	{"a TLS hello",                "\x16\x03\x01\x02\x00\x01\xfc\x03\x03\n",                                 400},
	{"no Host",		    "GET / HTTP/1.1\r\n\r\n",						 400},
	{"two Hosts",                  GET HOST "\r\n",							  400},
	{"two Hosts of HTTP/1.0",      "GET / HTTP/1.0\r\n" HOST HOST "\r\n",                                    400},
	{"a bad Host",                 "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",                                    400},
	{"a Host with a path",         "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",                                    400},
	{"a Host with a user",         "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",                                    400},
	{"a folded field",             GET "X: a\r\n b\r\n\r\n",                                                 400},
	{"a folded encoding",          POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",                   400},
	{"a fold first",               "GET / HTTP/1.1\r\n x: y\r\n" HOST "\r\n",                                400},
	{"a space before the colon",   POST "Content-Length : 1\r\n\r\nx",                                       400},
	{"a space before TE's colon",  POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",                      400},
	{"an empty name",              GET ": x\r\n\r\n",							400},
	{"no colon",                   GET "X\r\n\r\n",							  400},
	{"a control in a name",        GET "X\x01: y\r\n\r\n",                                                   400},
	{"a control in a value",       GET "X: \x01\r\n\r\n",                                                    400},
	{"UTF-8 in a name",            GET "\xc3\xa9: y\r\n\r\n",                                                400},
 /* lengths and encodings */
	{"two lengths",                POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",                  400},
	{"the same length twice",      POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",                   400},
	{"a list of lengths",          POST "Content-Length: 1, 1\r\n\r\nx",                                     400},
	{"a plus",		     POST "Content-Length: +1\r\n\r\nx",                                       400},
	{"a minus",		    POST "Content-Length: -1\r\n\r\n",                                        400},
	{"VT before the digits",       POST "Content-Length: \v1\r\n\r\nx",                                      400},
	{"hexadecimal",                POST "Content-Length: 0x1\r\n\r\nx",                                      400},
	{"an empty length",            POST "Content-Length:\r\n\r\n",                                           400},
	{"a space in the digits",      POST "Content-Length: 1 0\r\n\r\n0123456789",                             400},
	{"too long a body",            POST "Content-Length: 33\r\n\r\n",                                        413},
	{"a length beyond 64 bits",    POST "Content-Length: 99999999999999999999999\r\n\r\n",                   413},
	{"both",		       POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  400},
	{"identity",                   POST "Transfer-Encoding: identity\r\n\r\n",                               501},
	{"gzip",		       POST "Transfer-Encoding: gzip\r\n\r\n",                                   501},
	{"xchunked",                   POST "Transfer-Encoding: xchunked\r\n\r\n",                               501},
	{"quoted chunked",             POST "Transfer-Encoding: \"chunked\"\r\n\r\n",                            501},
	{"gzip, chunked",              POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",                 501},
	{"chunked, chunked",           POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",              501},
	{"chunked twice",
         POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400													},
	{"chunked of HTTP/1.0",
         "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",                               400},
	{"a body of HEAD",             "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx",                  400},
	{"chunks of HEAD",             "HEAD / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400													},
	{"another Expect",             POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx",                      417},
 /* chunks */
	{"0x in front",                CHUNKED "0x2\r\nab\r\n0\r\n\r\n",                                         400},
	{"a plus of a chunk",          CHUNKED "+2\r\nab\r\n0\r\n\r\n",                                          400},
	{"a space of a chunk",         CHUNKED " 2\r\nab\r\n0\r\n\r\n",                                          400},
	{"minus zero",                 CHUNKED "-0\r\n\r\n",						     400},
	{"junk behind a size",         CHUNKED "2 junk\r\nab\r\n0\r\n\r\n",                                      400},
	{"a space behind a size",      CHUNKED "2 \r\nab\r\n0\r\n\r\n",                                          400},
	{"an empty size",              CHUNKED "\r\n\r\n",						       400},
	{"bare LF of a chunk",         CHUNKED "2\nab\r\n0\r\n\r\n",                                             400},
	{"bare CR of a chunk",         CHUNKED "2\rab\r\n0\r\n\r\n",                                             400},
	{"no CRLF behind a chunk",     CHUNKED "2\r\nab0\r\n\r\n",                                               400},
	{"LF behind a chunk",          CHUNKED "2\r\nab\n0\r\n\r\n",                                             400},
	{"a control in an extension",  CHUNKED "2;\x01\r\nab\r\n0\r\n\r\n",                                      400},
	{"LF in an extension",         CHUNKED "2;a\nab\r\n0\r\n\r\n",                                           400},
	{"too many digits",            CHUNKED "0000000000000002\r\nab\r\n0\r\n\r\n",                            400},
	{"too long a chunk",           CHUNKED "21\r\n",							 413},
	{"too long chunks",            CHUNKED "20\r\n01234567890123456789012345678901\r\n1\r\n",                413},
	{"too many chunks",
         CHUNKED "1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n",
         413													},
	{"a long extension",           CHUNKED "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",                   413},
	{"a malformed trailer",        CHUNKED "0\r\nX\r\n\r\n",                                                 400},
	{"a folded trailer",           CHUNKED "0\r\nX: y\r\n z\r\n\r\n",                                        400},
	{"bare LF of a trailer",       CHUNKED "0\r\nX: y\n\r\n",                                                400},
	{"bare LF at the end of all",  CHUNKED "0\r\n\n",                                                        400},
	{"CR alone at the end of all", CHUNKED "0\r\n\rX",                                                       400},
 /* limits */
	{"a long target",
         "GET /0123456789012345678901234567890123456789012345678901234567890123456789 "
		"HTTP/1.1\r\n",										  414},
	{"a long target without end",
         "GET /0123456789012345678901234567890123456789012345678901234567890123456789",                          414},
	{"six fields",                 GET "A: b\r\nC: d\r\nE: f\r\nG: h\r\nI: j\r\n\r\n",                       431},
	{"a long field",
         GET "X: 0123456789012345678901234567890123456789012345678901234567890123456789"
		    "0123456789012345678901234567890123456789012345678901234567890123456789"
		    "0123456789012345678901234567890123456789012345678901234567890123456789"
		    "0123456789012345678901234567890123456789\r\n\r\n",					  431},
	{"a long trailer",
         CHUNKED
		"0\r\nX: 0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789\r\n",		    431},
};

/* Feed a text in pieces of a size and tell what became of it. Returns the status of a refusal, or 0. */
static int
feed(const char *input, size_t length, size_t piece, struct buffer *out)
{
	struct framing framing;
	framing_init(&framing, &limits);
	buffer_clear(out);
	buffer_puts(out, "");
	for (size_t at = 0; at < length;) {
		size_t end = at + piece < length ? at + piece : length;
		while (at < end) {
			size_t taken = 0;
			enum framing_verdict verdict =
				framing_take(&framing, input + at, end - at, &taken);
			assert_in_range(taken, 1, end - at);
			if (verdict == FRAMING_PASS)
				buffer_put(out, input + at, taken);
			if (framing.is_complete)
				buffer_putc(out, '|');
			at += taken;
			assert_int_equal(verdict == FRAMING_REFUSE, framing.refusal.status != 0);
			if (verdict == FRAMING_REFUSE)
				at = end = length;
		}
	}
	framing_finish(&framing);
	return framing.refusal.status;
}

/* NUL bytes cannot stand in the tables. */
static void
test_nul_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} texts[] = {
#define TEXT(literal) {literal, sizeof(literal) - 1}
		TEXT(POST "Content-Length: 3\0 1\r\n\r\nabc"),
		TEXT(POST "Transfer-Encoding: chunked\0x\r\n\r\n0\r\n\r\n"),
		TEXT("GET /\0 HTTP/1.1\r\n" HOST "\r\n"),
		TEXT("GET\0 / HTTP/1.1\r\n" HOST "\r\n"),
		TEXT(GET "X\0: y\r\n\r\n"),
		TEXT("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
		TEXT(CHUNKED "2\0\r\nab\r\n0\r\n\r\n"),
		TEXT(CHUNKED "0\r\nX: \0\r\n\r\n"),
	};
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t piece = 1; piece < texts[i].length + 8; piece += 7) {
			assert_int_equal(feed(texts[i].text, texts[i].length, piece, &out), 400);
			assert_null(memchr(out.data, '|', out.length));
		}
	buffer_finish(&out);
}

static void
test_good(void **state)
{
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (size_t piece = 1; piece < strlen(good[i].input) + 2; piece++) {
			int status = feed(good[i].input, strlen(good[i].input), piece, &out);
			if (status != 0 || strcmp(out.data, good[i].expected) != 0)
				fail_msg("%s in pieces of %zu: %d %s", good[i].name, piece, status,
					out.data);
		}
	buffer_finish(&out);
}

static void
test_bad(void **state)
{
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t piece = 1; piece < strlen(bad[i].input) + 2; piece++) {
			int status = feed(bad[i].input, strlen(bad[i].input), piece, &out);
			if (status != bad[i].status || memchr(out.data, '|', out.length) != NULL)
				fail_msg("%s in pieces of %zu: %d %s", bad[i].name, piece, status,
					out.data);
		}
	buffer_finish(&out);
}

/* A refusal behind a good request takes nothing of that one away. */
static void
test_good_before_bad(void **state)
{
	struct buffer input = {0}, out = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buffer_clear(&input);
		buffer_printf(&input, "%s%s", GET "\r\n", bad[i].input);
		assert_int_equal(feed(input.data, input.length, input.length, &out), bad[i].status);
		assert_memory_equal(out.data, GET "\r\n|", strlen(GET "\r\n|"));
		assert_null(strchr(out.data + strlen(GET "\r\n|"), '|'));
	}
	buffer_finish(&input);
	buffer_finish(&out);
}

static void
test_parts(void **state)
{
	static const char text[] = "\r\n" POST "Content-Length: 2\r\n\r\nab";
	struct framing framing;
	size_t taken;
	(void)state;
	framing_init(&framing, &limits);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		framing_take(&framing, text + i, 1, &taken);
		bool in_head = i >= 2 && i + 2 < sizeof(text) - 2;
		assert_int_equal(framing_part(&framing), framing.is_complete || i < 2 ? FRAMING_NONE
							 : in_head                    ? FRAMING_HEAD
								   : FRAMING_BODY);
	}
	assert_true(framing.is_complete);
	framing_finish(&framing);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_good_before_bad),
		cmocka_unit_test(test_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
