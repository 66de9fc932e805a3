/* Templates of messages: "Subject: …", an empty line, the text; {{name}} is a placeholder.
 *
 * There is nothing but placeholders: no conditions, no loops, no escapes. What a template
 * may name is declared with its kind (kinds.c), and every template is checked against it when
 * the service starts, so that a slip of the pen is one clear line then and not a dead
 * letter later. */
#include "notification.h"

#include <string.h>

#define SUBJECT	       "Subject: "
#define NAME_MAX_BYTES 32

/* Every template may name these. */
static const char *const SHOP_PLACEHOLDERS[] = { "shop", "shop_url", NULL };

/* Finds the next placeholder: *before is the text up to it, name (of NAME_MAX_BYTES + 1) what it
 * is called, and the answer the text behind it. NULL with *before as the rest where there is
 * none; an unclosed or overlong one has an empty name. */
static const char *next_placeholder(const char *text, size_t *before, char *name)
{
	const char *open = strstr(text, "{{");
	const char *close = open != NULL ? strstr(open, "}}") : NULL;
	size_t len;

	name[0] = '\0';
	*before = open != NULL ? (size_t)(open - text) : strlen(text);
	if (open == NULL)
		return NULL;
	len = close != NULL ? (size_t)(close - open - 2) : 0;
	if (close == NULL || len > NAME_MAX_BYTES)
		return open + 2;
	memcpy(name, open + 2, len);
	name[len] = '\0';
	return close + 2;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static enum sk_status check(struct sk_context *context, const char *file, const char *text,
			    const char *const *names)
{
	char name[NAME_MAX_BYTES + 1];
	size_t before;

	while ((text = next_placeholder(text, &before, name)) != NULL)
		if (!is_one_of(name, names) && !is_one_of(name, SHOP_PLACEHOLDERS))
			return sk_fail(context, SK_INVALID, "invalid_template",
				       "template %s: there is no {{%s}}", file, name);
	return SK_OK;
}

enum sk_status notification_template_parse(struct sk_context *context, const struct sk_file *file,
					   const char *const *names,
					   struct notification_template *parsed)
{
	const char *end = strchr(file->text, '\n');
	const char *subject;
	enum sk_status st;

	if (end == NULL || strncmp(file->text, SUBJECT, strlen(SUBJECT)) != 0 || end[1] != '\n')
		return sk_fail(context, SK_INVALID, "invalid_template",
			       "template %s does not begin with a subject and an empty line",
			       file->name);
	parsed->subject = file->text + strlen(SUBJECT);
	parsed->subject_len = (size_t)(end - parsed->subject);
	parsed->body = end + 2;
	subject = sk_arena_printf(context->arena, "%.*s", (int)parsed->subject_len,
				  parsed->subject);
	st = check(context, file->name, subject, names);
	return st == SK_OK ? check(context, file->name, parsed->body, names) : st;
}

static const struct sk_file *find_file(struct sk_context *context, const struct sk_file *files,
				       const char *kind)
{
	const char *name = sk_arena_printf(context->arena, "%s.txt", kind);

	for (; files->name != NULL; files++)
		if (strcmp(files->name, name) == 0)
			return files;
	return NULL;
}

enum sk_status
notification_templates_load(struct sk_context *context, const struct sk_file *files,
			    struct notification_template templates[NOTIFICATION_KINDS])
{
	enum sk_status st = SK_OK;

	for (int i = 0; st == SK_OK && i < NOTIFICATION_KINDS; i++) {
		const struct notification_kind_row *kind = &NOTIFICATION_KIND_ROWS[i];
		const struct sk_file *file = find_file(context, files, kind->name);

		if (file == NULL)
			return sk_fail(context, SK_INVALID, "missing_template",
				       "there is no template %s.txt", kind->name);
		st = notification_template_parse(context, file, kind->placeholders, &templates[i]);
	}
	return st;
}

static const char *value_of(const struct notification_value *values, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].text;
	return NULL;
}

enum sk_status notification_template_render(struct sk_context *context, const char *text,
					    const struct notification_value *values, size_t count,
					    const char **rendered)
{
	char name[NAME_MAX_BYTES + 1];
	struct sk_buf out;

	sk_buf_init(&out, context->arena, NOTIFICATION_TEXT_MAX_BYTES);
	while (text != NULL) {
		size_t before;
		const char *rest = next_placeholder(text, &before, name);
		const char *value = rest != NULL ? value_of(values, count, name) : "";

		if (value == NULL)
			return sk_fail(context, SK_INTERNAL, "missing_value", "{{%s}} has no value",
				       name);
		sk_buf_put(&out, text, before);
		sk_buf_puts(&out, value);
		text = rest;
	}
	if (!sk_buf_ok(&out))
		return sk_fail(context, SK_TOO_LARGE, "message_too_large",
			       "a message has over %zu bytes", NOTIFICATION_TEXT_MAX_BYTES);
	*rendered = sk_buf_text(&out);
	return SK_OK;
}
