/* The least that a server on this machine can do for the same answer: civetweb with bare handlers.
 *
 * Guarantee: the same web server with the same options as the services' (sk_http_server.c), and
 * nothing of libcommon: no router, no limits, no log, no trace. Each thread has its own
 * connections, opened at its first need; so nothing waits for a pool. What cannot be reached is
 * answered with 500, which the benchmark counts: a limit that failed is no limit.
 *
 *   /file/<name>  a file of the folder, read once: the constant answer
 *   /kv/<key>     the value of a key, by one GET
 *   /cart         one function of Valkey: HINCRBY and EXPIRE of the key in X-Cart-Token
 *   /sql/<id>     the row of one prepared statement with the id as its only parameter
 *
 * usage: bare PORT FOLDER
 * Environment: BARE_THREADS, BARE_VALKEY (port), BARE_VALKEY_USER, BARE_VALKEY_PASSWORD, BARE_POSTGRES (libpq's words),
 * BARE_SQL (the statement). */
#include <civetweb.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX     8
#define NAME_MAX_SIZE 32
#define HEAD_MAX      128

struct file {
	char name[NAME_MAX_SIZE];
	char *bytes; /* the whole answer, its head with it */
	size_t len;
};

struct bare {
	struct file files[FILES_MAX];
	int files_count;
};

/* What a thread of civetweb has for itself. */
struct connections {
	redisContext *kv;
	PGconn *pg;
};

static const char *setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value == NULL ? otherwise : value;
}

/* ---- connections ---- */

static void *begin_thread(const struct mg_context *server, int kind)
{
	(void)server;
	return kind == 1 ? calloc(1, sizeof(struct connections)) : NULL;
}

static void end_thread(const struct mg_context *server, int kind, void *thread)
{
	struct connections *own = thread;

	(void)server;
	(void)kind;
	if (own == NULL)
		return;
	if (own->kv != NULL)
		redisFree(own->kv);
	if (own->pg != NULL)
		PQfinish(own->pg);
	free(own);
}

static redisContext *kv_of(const struct mg_connection *connection)
{
	struct connections *own = mg_get_thread_pointer(connection);
	redisReply *reply;

	if (own->kv != NULL)
		return own->kv;
	own->kv = redisConnect("127.0.0.1", (int)strtol(setting("BARE_VALKEY", "0"), NULL, 10));
	if (own->kv == NULL || own->kv->err != 0)
		return own->kv;
	reply = redisCommand(own->kv, "AUTH %s %s", setting("BARE_VALKEY_USER", "default"),
			     setting("BARE_VALKEY_PASSWORD", ""));
	freeReplyObject(reply);
	return own->kv;
}

static PGconn *pg_of(const struct mg_connection *connection)
{
	struct connections *own = mg_get_thread_pointer(connection);

	if (own->pg != NULL)
		return own->pg;
	own->pg = PQconnectdb(setting("BARE_POSTGRES", ""));
	PQclear(PQprepare(own->pg, "bare", setting("BARE_SQL", ""), 1, NULL));
	return own->pg;
}

/* ---- answers ---- */

/* Head and body as one piece, so that it leaves in one packet. NULL where there is no memory. */
static char *whole_answer(const char *body, size_t len, size_t *whole)
{
	char *bytes = malloc(len + HEAD_MAX);
	int head;

	if (bytes == NULL)
		return NULL;
	head = snprintf(bytes, HEAD_MAX,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			"Content-Length: %zu\r\nConnection: keep-alive\r\n\r\n",
			len);
	memcpy(bytes + head, body, len);
	*whole = (size_t)head + len;
	return bytes;
}

static int answer(struct mg_connection *connection, const char *body, size_t len)
{
	size_t whole = 0;
	char *bytes = whole_answer(body, len, &whole);

	if (bytes != NULL)
		mg_write(connection, bytes, whole);
	free(bytes);
	return 200;
}

static int failed(struct mg_connection *connection, const char *why)
{
	mg_send_http_error(connection, 500, "%s", why);
	return 500;
}

/* What follows the handler's own folder: "<id>" of "/sql/<id>". */
static const char *rest_of(const struct mg_connection *connection)
{
	return strrchr(mg_get_request_info(connection)->local_uri, '/') + 1;
}

/* ---- handlers ---- */

static int answer_file(struct mg_connection *connection, void *app)
{
	const struct bare *bare = app;
	const char *name = rest_of(connection);

	for (int i = 0; i < bare->files_count; i++) {
		const struct file *file = &bare->files[i];

		if (strcmp(file->name, name) == 0) {
			mg_write(connection, file->bytes, file->len);
			return 200;
		}
	}
	return failed(connection, "no such file");
}

static int answer_kv(struct mg_connection *connection, void *app)
{
	redisReply *reply = redisCommand(kv_of(connection), "GET %s", rest_of(connection));
	int status;

	(void)app;
	if (reply != NULL && reply->type == REDIS_REPLY_STRING)
		status = answer(connection, reply->str, reply->len);
	else
		status = failed(connection, "no such key");
	freeReplyObject(reply);
	return status;
}

static int answer_cart(struct mg_connection *connection, void *app)
{
	const char *token = mg_get_header(connection, "X-Cart-Token");
	redisReply *reply;
	char body[64];
	int len, status;

	(void)app;
	while (mg_read(connection, body, sizeof(body)) > 0)
		;
	reply = redisCommand(kv_of(connection), "FCALL bench_add 1 bench:cart:%s 86400",
			     token == NULL ? "" : token);
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
		len = snprintf(body, sizeof(body), "{\"quantity\":%lld}", reply->integer);
		status = answer(connection, body, (size_t)len);
	} else {
		status = failed(connection, reply == NULL ? "no Valkey" : reply->str);
	}
	freeReplyObject(reply);
	return status;
}

static int answer_sql(struct mg_connection *connection, void *app)
{
	const char *id = rest_of(connection);
	PGresult *rows = PQexecPrepared(pg_of(connection), "bare", 1, &id, NULL, NULL, 0);
	int status, last = PQnfields(rows) - 1;

	(void)app;
	if (PQntuples(rows) == 1)
		status = answer(connection, PQgetvalue(rows, 0, last),
				(size_t)PQgetlength(rows, 0, last));
	else
		status = failed(connection, PQresultErrorMessage(rows));
	PQclear(rows);
	return status;
}

/* ---- start ---- */

static int read_file(struct bare *bare, const char *folder, const char *name)
{
	struct file *file = &bare->files[bare->files_count++];
	char path[512], *body = NULL;
	size_t size = 0;
	ssize_t len = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(file->name, sizeof(file->name), "%s", name);
	stream = fopen(path, "r");
	if (stream != NULL) {
		len = getdelim(&body, &size, EOF, stream);
		fclose(stream);
	}
	if (len > 0)
		file->bytes = whole_answer(body, (size_t)len, &file->len);
	free(body);
	return file->bytes == NULL ? -1 : 0;
}

static struct mg_context *start(struct bare *bare, const char *port)
{
	const struct mg_callbacks callbacks = {
		.init_thread = begin_thread,
		.exit_thread = end_thread,
	};
	const char *options[] = {
		"listening_ports",
		port,
		"num_threads",
		setting("BARE_THREADS", "32"),
		"connection_queue",
		"256",
		"listen_backlog",
		"1024",
		"enable_keep_alive",
		"yes",
		"keep_alive_timeout_ms",
		"20000",
		"tcp_nodelay",
		"1",
		"request_timeout_ms",
		"10000",
		"decode_url",
		"no",
		"decode_query_string",
		"no",
		NULL,
	};
	struct mg_context *server = mg_start(&callbacks, bare, options);

	if (server == NULL)
		return NULL;
	mg_set_request_handler(server, "/file/", answer_file, bare);
	mg_set_request_handler(server, "/kv/", answer_kv, bare);
	mg_set_request_handler(server, "/cart", answer_cart, bare);
	mg_set_request_handler(server, "/sql/", answer_sql, bare);
	return server;
}

int main(int count, char **words)
{
	struct bare bare = { .files_count = 0 };
	struct mg_context *server;
	sigset_t ends;
	int ended, status = 1;

	if (count != 3) {
		fprintf(stderr, "usage: bare PORT FOLDER\n");
		return 2;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL); /* the threads of civetweb, too */
	if (read_file(&bare, words[2], "product") == 0 && read_file(&bare, words[2], "list") == 0) {
		mg_init_library(0);
		server = start(&bare, words[1]);
		if (server != NULL) {
			sigwait(&ends, &ended);
			mg_stop(server);
			status = 0;
		}
		mg_exit_library();
	}
	for (int i = 0; i < bare.files_count; i++)
		free(bare.files[i].bytes);
	if (status != 0)
		fprintf(stderr, "bare: cannot read %s or cannot listen on %s\n", words[2],
			words[1]);
	return status;
}
