#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soukctl.h"

#define FILE_MAX_BYTES (64L * 1024 * 1024)

enum sk_status file_read(struct sk_context *context, const char *path, const char **text,
			 size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct stat about;
	char *bytes;

	if (file == NULL)
		return sk_fail(context, SK_NOT_FOUND, "no_file", "cannot read %s: %s", path,
			       strerror(errno));
	if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode) ||
	    about.st_size > FILE_MAX_BYTES) {
		fclose(file);
		return sk_fail(context, SK_INVALID, "no_file", "%s is no plain file of a fit size",
			       path);
	}
	bytes = sk_arena_alloc(context->arena, (size_t)about.st_size + 1);
	*len = fread(bytes, 1, (size_t)about.st_size, file);
	*text = bytes;
	fclose(file);
	return SK_OK;
}

enum sk_status file_write(struct sk_context *context, const char *path, const char *text,
			  unsigned mode)
{
	const char *fresh = sk_arena_printf(context->arena, "%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t written;

	if (fd < 0)
		return sk_fail(context, SK_INVALID, "no_file", "cannot write %s: %s", fresh,
			       strerror(errno));
	written = write(fd, text, strlen(text));
	if (close(fd) != 0 || written != (ssize_t)strlen(text) || rename(fresh, path) != 0)
		return sk_fail(context, SK_INVALID, "no_file", "cannot write %s: %s", path,
			       strerror(errno));
	return SK_OK;
}

enum sk_status secret_read(struct sk_context *context, const char *dir, const char *owner,
			   const char *name, const char **value)
{
	size_t len = 0;
	enum sk_status st = file_read(context,
				      sk_arena_printf(context->arena, "%s/%s/%s", dir, owner, name),
				      value, &len);

	if (st == SK_OK)
		*value = sk_arena_printf(context->arena, "%.*s", (int)strcspn(*value, "\n"),
					 *value);
	return st;
}

static void free_tree(void *tree)
{
	cJSON_Delete(tree);
}

enum sk_status topology_load(struct sk_context *context, const char *path,
			     const struct cJSON **topology)
{
	const char *text = NULL;
	size_t len = 0;
	cJSON *tree;
	enum sk_status st = file_read(context, path, &text, &len);

	if (st != SK_OK)
		return st;
	tree = cJSON_ParseWithLength(text, len);
	if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(tree, "services"))) {
		cJSON_Delete(tree);
		return sk_fail(context, SK_INVALID, "no_topology", "%s is no topology: run make",
			       path);
	}
	sk_arena_defer(context->arena, free_tree, tree);
	*topology = tree;
	return SK_OK;
}

const char *topology_text(const struct cJSON *object, const char *name)
{
	const char *text = cJSON_IsString(object)
				   ? object->valuestring
				   : cJSON_GetStringValue(
					     cJSON_GetObjectItemCaseSensitive(object, name));

	return text != NULL ? text : "";
}

const struct cJSON *topology_list(const struct cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

bool topology_flag(const struct cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name)) != 0;
}

int topology_int(const struct cJSON *object, const char *name)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(number) ? number->valueint : 0;
}

bool topology_has_consumers(const struct cJSON *service)
{
	return cJSON_GetArraySize(topology_list(service, "consumers")) > 0;
}

const char *topology_replay_consumer(struct sk_arena *arena, const struct cJSON *service)
{
	return sk_arena_printf(arena, "%s-replay", topology_text(service, "name"));
}
