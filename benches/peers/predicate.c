/*
 * is_valid_tracked_ref() as one would write it by hand in C: the fastest that a
 * function called by the server can be.
 */
#include "postgres.h"

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_MODULE_MAGIC;

#define PREFIX_LENGTH 4

static inline bool
is_wide_space_2(const unsigned char *c)
{
	return c[0] == 0xC2 && (c[1] == 0x85 || c[1] == 0xA0);
}

/* U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000 */
static inline bool
is_wide_space_3(const unsigned char *c)
{
	if (c[0] == 0xE1)
		return c[1] == 0x9A && c[2] == 0x80;
	if (c[0] == 0xE2 && c[1] == 0x80)
		return (c[2] >= 0x80 && c[2] <= 0x8A) || c[2] == 0xA8 || c[2] == 0xA9 || c[2] == 0xAF;
	if (c[0] == 0xE2)
		return c[1] == 0x81 && c[2] == 0x9F;
	return c[0] == 0xE3 && c[1] == 0x80 && c[2] == 0x80;
}

/* Does a prefixed value, which has at least one byte more, end in white space? */
static inline bool
ends_in_space(const unsigned char *text, int length)
{
	unsigned char last = text[length - 1];

	if (last > ' ' && last < 0x7F)
		return false;
	if (last == ' ' || (last >= '\t' && last <= '\r'))
		return true;
	if (length - PREFIX_LENGTH >= 2 && is_wide_space_2(text + length - 2))
		return true;
	return length - PREFIX_LENGTH >= 3 && is_wide_space_3(text + length - 3);
}

static inline bool
is_canonical(const char *text, int length)
{
	if (length > PREFIX_LENGTH &&
		(memcmp(text, "tag:", PREFIX_LENGTH) == 0 ||
		 memcmp(text, "sha:", PREFIX_LENGTH) == 0 ||
		 memcmp(text, "ref:", PREFIX_LENGTH) == 0))
		return !ends_in_space((const unsigned char *) text, length);
	return length == PREFIX_LENGTH && memcmp(text, "none", PREFIX_LENGTH) == 0;
}

PG_FUNCTION_INFO_V1(peer_c_predicate);

Datum
peer_c_predicate(PG_FUNCTION_ARGS)
{
	text	   *track = PG_GETARG_TEXT_PP(0);
	bool		canonical = is_canonical(VARDATA_ANY(track), VARSIZE_ANY_EXHDR(track));

	PG_FREE_IF_COPY(track, 0);
	PG_RETURN_BOOL(canonical);
}
