#include "sk_client.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "sk_buf.h"

#define CONNECT_TIMEOUT_MS 2000L

static void free_list(void *list)
{
	curl_slist_free_all(list);
}

static size_t take_body(char *data, size_t size, size_t count, void *closure)
{
	struct sk_buf *body = closure;
	size_t len = size * count, room = body->max_bytes - body->len;

	sk_buf_put(body, data, len < room ? len : room);
	return len <= room ? len : 0; /* 0 ends the transfer */
}

static CURL *open_handle(struct sk_context *context, const char *url, int timeout_ms)
{
	CURL *handle = curl_easy_init();

	if (handle == NULL)
		abort();
	curl_easy_setopt(handle, CURLOPT_URL, url);
	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
			 (long)sk_context_remaining_ms(context, timeout_ms) + 1);
	curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
	return handle;
}

/* The failure of a transfer in our terms. */
static enum sk_status failed(struct sk_context *context, CURLcode code)
{
	if (code == CURLE_OPERATION_TIMEDOUT)
		return sk_fail(context, SK_TIMEOUT, "peer_timeout", "no answer in time");
	return sk_fail(context, SK_UNAVAILABLE, "peer_unavailable", "%s", curl_easy_strerror(code));
}

static struct curl_slist *add_to_list(struct curl_slist *list, const char *text)
{
	struct curl_slist *longer = curl_slist_append(list, text);

	if (longer == NULL)
		abort();
	return longer;
}

enum sk_status sk_client_send(struct sk_context *context, const struct sk_client_request *request,
			      struct sk_client_answer *answer)
{
	CURL *handle = open_handle(context, request->url, request->timeout_ms);
	struct curl_slist *headers = add_to_list(NULL, "Expect:"); /* no wait for a 100 Continue */
	struct sk_buf body;
	long status = 0;
	CURLcode code;

	sk_buf_init(&body, context->arena, SK_CLIENT_ANSWER_MAX_BYTES);
	for (const char *const *at = request->headers; at != NULL && *at != NULL; at++)
		headers = add_to_list(headers, *at);
	sk_arena_defer(context->arena, free_list, headers);
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
	if (request->body != NULL) {
		curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)request->body_len);
	}
	code = curl_easy_perform(handle);
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(handle);
	/* CURLE_WRITE_ERROR is take_body's own: enough was read. */
	if (code != CURLE_OK && (code != CURLE_WRITE_ERROR || status == 0))
		return failed(context, code);
	*answer = (struct sk_client_answer) { .status = (int)status,
					      .body = sk_buf_text(&body),
					      .len = body.len };
	return SK_OK;
}

/* What is left of a message that is being sent. */
struct reading {
	const char *at;
	size_t left;
};

static size_t give_message(char *out, size_t size, size_t count, void *closure)
{
	struct reading *reading = closure;
	size_t len = size * count < reading->left ? size * count : reading->left;

	memcpy(out, reading->at, len);
	reading->at += len;
	reading->left -= len;
	return len;
}

enum sk_status sk_client_mail(struct sk_context *context, const struct sk_mail *mail)
{
	CURL *handle = open_handle(context, mail->smtp_url, mail->timeout_ms);
	struct curl_slist *to = add_to_list(NULL, mail->to);
	struct reading message = { mail->message, strlen(mail->message) };
	long status = 0;
	CURLcode code;

	sk_arena_defer(context->arena, free_list, to);
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(handle, CURLOPT_MAIL_FROM, mail->from);
	curl_easy_setopt(handle, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(handle, CURLOPT_READFUNCTION, give_message);
	curl_easy_setopt(handle, CURLOPT_READDATA, &message);
	curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
	if (mail->user != NULL && mail->user[0] != '\0') {
		curl_easy_setopt(handle, CURLOPT_USERNAME, mail->user);
		curl_easy_setopt(handle, CURLOPT_PASSWORD, mail->password);
	}
	code = curl_easy_perform(handle);
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(handle);
	if (code == CURLE_OK)
		return SK_OK;
	/* 354 was the last word, "go on", and all was sent: whether it was taken nobody knows. */
	if (status == 354 && message.left == 0)
		return sk_fail(context, SK_TIMEOUT, "mail_unknown",
			       "the mail server did not say that it took it");
	/* A wrong password is ours to mend; the mail is as good as before. */
	if (status >= 500 && status < 600 && code != CURLE_LOGIN_DENIED)
		return sk_fail(context, SK_INVALID, "mail_refused",
			       "the mail server refuses it: %ld", status);
	return failed(context, code);
}
