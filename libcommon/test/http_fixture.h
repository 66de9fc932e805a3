/* A server of its own on a free port, with the stores that the environment names, if any. */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "unit.h"

#include "../sk_http.h"
#include "../sk_service.h"
#include "http_client.h"

#define TIMEOUT_MS     400 /* its HTTP_TIMEOUT_MS: how long a body may take */
#define SERVER_THREADS 16  /* its HTTP_THREADS */

struct server {
	int port;
	struct sk_context context;
	struct sk_config *config;
	struct sk_parts parts;
	struct sk_http *http;
};

extern struct server server;

/* A service whose routes need no store. */
extern const struct sk_service SERVICE;

/* cmocka's group fixtures: start_server is for SERVICE. 0, or -1 where it cannot start. */
int start_server(void **state);
int start_server_of(const struct sk_service *service);
int stop_server(void **state);

/* Where a handler waits until the test lets it go on. GET /v1/gate passes it. */
void gate_shut(void); /* as it is at first */
void gate_pass(void);
void gate_wait_entered(void);
void gate_open(void);

/* One request on a connection of its own: a head without its last line, and a body. */
struct http_answer ask(const char *head, const char *body);

void assert_problem(const struct http_answer *answer, int status, const char *code);

#endif
