/* A message as mail servers take it: RFC 5322 with MIME.
 *
 * Whatever comes from outside (a name, an order number) may end up in a header, so every
 * header value is made one line first, and one that is not plain ASCII is an encoded
 * word (RFC 2047): no data can start a header of its own or end them early. The
 * Message-ID follows from the message's id, so a mail that was handed over twice (the
 * server took it, we died before we wrote that down) is the same mail for whoever
 * compares. */
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "notification.h"

#define MAIL_MAX_BYTES	      (4 * NOTIFICATION_TEXT_MAX_BYTES) /* three bytes for one, and headers */
#define LINE_MAX_BYTES	      998				/* RFC 5322, 2.1.1 */
#define QUOTED_LINE_MAX_BYTES 76				/* RFC 2045, 6.7 */
#define ENCODED_WORD_BYTES    45				/* 60 characters of base64 */

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x7F)
			return false;
	return true;
}

/* ---- headers ---- */

/* The length of the first piece of text that fits one encoded word and cuts no character. */
static size_t word_len(const char *text)
{
	size_t len = strlen(text);

	if (len <= ENCODED_WORD_BYTES)
		return len;
	len = ENCODED_WORD_BYTES;
	while (len > 1 && ((unsigned char)text[len] & 0xC0) == 0x80)
		len--;
	return len;
}

static void put_encoded_words(struct sk_buf *out, const char *text)
{
	char base64[sodium_base64_ENCODED_LEN(ENCODED_WORD_BYTES, sodium_base64_VARIANT_ORIGINAL)];

	for (bool first = true; *text != '\0'; first = false) {
		size_t len = word_len(text);

		sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)text, len,
				  sodium_base64_VARIANT_ORIGINAL);
		sk_buf_printf(out, "%s=?UTF-8?B?%s?=", first ? "" : "\r\n ", base64);
		text += len;
	}
}

static void put_subject(struct sk_buf *out, struct sk_arena *arena, const char *subject)
{
	const char *line = notification_one_line(arena, subject);

	sk_buf_puts(out, "Subject: ");
	if (is_ascii(line) && strstr(line, "=?") == NULL)
		sk_buf_puts(out, line);
	else
		put_encoded_words(out, line);
	sk_buf_puts(out, "\r\n");
}

static void put_from(struct sk_buf *out, struct sk_arena *arena,
		     const struct notification_mail *mail)
{
	const char *shop = notification_one_line(arena, mail->shop);

	sk_buf_puts(out, "From: ");
	if (!is_ascii(shop)) {
		put_encoded_words(out, shop);
	} else {
		sk_buf_putc(out, '"');
		for (; *shop != '\0'; shop++) {
			if (*shop == '"' || *shop == '\\')
				sk_buf_putc(out, '\\');
			sk_buf_putc(out, *shop);
		}
		sk_buf_putc(out, '"');
	}
	sk_buf_printf(out, " <%s>\r\n", notification_one_line(arena, mail->from));
}

static void put_date(struct sk_buf *out, int64_t at_us)
{
	static const char *const DAYS[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(at_us / SK_SECOND_US);
	struct tm at;

	if (gmtime_r(&seconds, &at) == NULL) /* a year that no int holds */
		return;
	sk_buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", DAYS[at.tm_wday],
		      at.tm_mday, MONTHS[at.tm_mon], at.tm_year + 1900, at.tm_hour, at.tm_min,
		      at.tm_sec);
}

/* ---- the text ---- */

static bool fits_unencoded(const char *body)
{
	size_t longest = 0;

	for (const char *line = body; *line != '\0'; line += strcspn(line, "\n") + 1) {
		size_t len = strcspn(line, "\n");

		longest = len > longest ? len : longest;
		if (line[len] == '\0')
			break;
	}
	return is_ascii(body) && longest <= LINE_MAX_BYTES;
}

static void put_plain(struct sk_buf *out, const char *body)
{
	for (; *body != '\0'; body++) {
		if (*body == '\n')
			sk_buf_puts(out, "\r\n");
		else if (*body != '\r')
			sk_buf_putc(out, *body);
	}
}

/* One character of a line as quoted-printable; *column is where the line stands. */
static void put_quoted(struct sk_buf *out, const char *at, size_t *column)
{
	unsigned char c = (unsigned char)*at;
	bool last = at[1] == '\n' || at[1] == '\0';
	bool literal = (c > ' ' && c < 0x7F && c != '=') || (c == ' ' && !last);
	size_t len = literal ? 1 : 3;

	if (*column + len > QUOTED_LINE_MAX_BYTES - 1) {
		sk_buf_puts(out, "=\r\n");
		*column = 0;
	}
	if (literal)
		sk_buf_putc(out, (char)c);
	else
		sk_buf_printf(out, "=%02X", c);
	*column += len;
}

static void put_quoted_printable(struct sk_buf *out, const char *body)
{
	size_t column = 0;

	for (; *body != '\0'; body++) {
		if (*body == '\n') {
			sk_buf_puts(out, "\r\n");
			column = 0;
		} else if (*body != '\r') {
			put_quoted(out, body, &column);
		}
	}
}

const char *notification_mail_write(struct sk_arena *arena, const struct notification_mail *mail)
{
	const char *at_sign = strchr(mail->from, '@');
	bool plain = fits_unencoded(mail->body);
	struct sk_buf out;

	sk_buf_init(&out, arena, MAIL_MAX_BYTES);
	put_from(&out, arena, mail);
	sk_buf_printf(&out, "To: <%s>\r\n", notification_one_line(arena, mail->to));
	put_subject(&out, arena, mail->subject);
	put_date(&out, mail->at_us);
	sk_buf_printf(&out, "Message-ID: <%s@%s>\r\n", mail->id,
		      at_sign != NULL ? notification_one_line(arena, at_sign + 1) : "localhost");
	sk_buf_printf(&out, "X-Souk-Kind: %s\r\n", mail->kind);
	sk_buf_puts(&out, "Auto-Submitted: auto-generated\r\n"
			  "MIME-Version: 1.0\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n");
	sk_buf_printf(&out, "Content-Transfer-Encoding: %s\r\n\r\n",
		      plain ? "7bit" : "quoted-printable");
	if (plain)
		put_plain(&out, mail->body);
	else
		put_quoted_printable(&out, mail->body);
	return sk_buf_text(&out);
}
