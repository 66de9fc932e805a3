/* A server of its own with routes of its own on a free port, without any store. */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "unit.h"

#include "../sk_http.h"
#include "../sk_service.h"
#include "http_client.h"

#define TIMEOUT_MS 400 /* its HTTP_TIMEOUT_MS: how long a body may take */

struct server {
	int port;
	struct sk_context context;
	struct sk_config *config;
	struct sk_parts parts;
	struct sk_http *http;
};

extern struct server server;
extern const struct sk_service SERVICE;

/* cmocka's group fixtures. */
int start_server(void **state);
int stop_server(void **state);

/* GET /v1/gate enters, and answers once the gate is open. */
void gate_wait_entered(void);
void gate_open(void);

/* One request on a connection of its own: a head without its last line, and a body. */
struct http_answer ask(const char *head, const char *body);

void assert_problem(const struct http_answer *answer, int status, const char *code);

#endif
