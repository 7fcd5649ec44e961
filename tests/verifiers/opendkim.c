/*
 * Verifies many DKIM-signed messages with libopendkim, with keys from a file.
 *
 *     opendkim RECORDS < MESSAGES
 *
 * The formats are those of dkimpy.py. As in a milter, the message is taken apart
 * here and handed over as fields and body; a field ends at a CRLF that is not
 * followed by SP or HTAB.
 */

#include <sys/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <dkim.h>

struct record {
	char *name;
	char *text;
};

static struct record *records;
static size_t record_count;

static void fail(const char *text)
{
	fprintf(stderr, "%s\n", text);
	exit(1);
}

static void read_records(const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		fail("cannot open the records");
	while (getdelim(&line, &size, '\0', file) > 0) {
		char *tab = strchr(line, '\t');

		if (tab == NULL)
			continue;
		*tab = '\0';
		records = realloc(records, (record_count + 1) * sizeof *records);
		records[record_count].name = strdup(line);
		records[record_count++].text = strdup(tab + 1);
	}
	free(line);
	fclose(file);
}

static DKIM_CBSTAT look_up(DKIM *dkim, DKIM_SIGINFO *signature, u_char *buffer, size_t size)
{
	char name[1024];

	(void) dkim;
	snprintf(name, sizeof name, "%s.%s.%s", (char *) dkim_sig_getselector(signature),
	         DKIM_DNSKEYNAME, (char *) dkim_sig_getdomain(signature));
	for (size_t i = 0; i < record_count; i++) {
		if (strcasecmp(records[i].name, name) == 0) {
			snprintf((char *) buffer, size, "%s", records[i].text);
			return DKIM_CBSTAT_CONTINUE;
		}
	}
	return DKIM_CBSTAT_NOTFOUND;
}

static size_t crlf_from(const u_char *message, size_t from, size_t length)
{
	for (size_t i = from; i + 1 < length; i++)
		if (message[i] == '\r' && message[i + 1] == '\n')
			return i;
	return length;
}

/* Hands over the fields; the answer is where the body begins. */
static DKIM_STAT take_fields(DKIM *dkim, u_char *message, size_t length, size_t *body)
{
	size_t start = 0;

	while (start < length) {
		size_t end = crlf_from(message, start, length);
		DKIM_STAT status;

		if (end == start)
			break;
		while (end + 2 < length && (message[end + 2] == ' ' || message[end + 2] == '\t'))
			end = crlf_from(message, end + 2, length);
		status = dkim_header(dkim, message + start, end - start);
		if (status != DKIM_STAT_OK)
			return status;
		start = end + 2;
	}
	*body = start + 2 < length ? start + 2 : length;
	return DKIM_STAT_OK;
}

static void print_word(const u_char *text)
{
	putchar(' ');
	if (text == NULL || *text == '\0')
		text = (const u_char *) "-";
	for (; *text != '\0'; text++)
		putchar(*text > ' ' && *text < 0x7f ? *text : '?');
}

static void print_verdict(DKIM *dkim, DKIM_SIGINFO *signature)
{
	const char *detail = "";
	bool passed = DKIM_SIG_CHECK(signature);

	if (!passed && dkim_sig_getbh(signature) == DKIM_SIGBH_MISMATCH)
		detail = "body hash mismatch";
	else if (!passed && dkim_sig_geterror(signature) == DKIM_SIGERROR_UNKNOWN)
		detail = dkim_geterror(dkim);
	else if (!passed)
		detail = dkim_sig_geterrorstr(dkim_sig_geterror(signature));
	fputs(passed ? "pass" : "fail", stdout);
	print_word(dkim_sig_getdomain(signature));
	print_word(dkim_sig_getselector(signature));
	printf(" %s", detail == NULL ? "unknown" : detail);
}

static void print_refusal(DKIM *dkim, DKIM_STAT status, const char *stage)
{
	const char *text = dkim_geterror(dkim);

	printf("fail - - message refused at %s: %s", stage, dkim_getresultstr(status));
	if (text != NULL)
		printf(" (%s)", text);
}

static void verify(DKIM_LIB *library, u_char *message, size_t length)
{
	DKIM_STAT status;
	DKIM_SIGINFO **signatures;
	int count = 0;
	size_t body = length;
	const char *stage = "the fields";
	DKIM *dkim = dkim_verify(library, (u_char *) "message", NULL, &status);

	if (dkim == NULL)
		fail("dkim_verify failed");
	status = take_fields(dkim, message, length, &body);
	if (status == DKIM_STAT_OK) {
		stage = "the end of the header";
		status = dkim_eoh(dkim);
	}
	/* A bad signature need not be the only one: only these end the message. */
	if (status != DKIM_STAT_SYNTAX && status != DKIM_STAT_NORESOURCE && status != DKIM_STAT_INTERNAL
	    && status != DKIM_STAT_NOSIG) {
		stage = "the body";
		if (body < length)
			dkim_body(dkim, message + body, length - body);
		(void) dkim_eom(dkim, NULL);
	}
	if (dkim_getsiglist(dkim, &signatures, &count) == DKIM_STAT_OK && count > 0) {
		for (int i = 0; i < count; i++) {
			(void) dkim_sig_process(dkim, signatures[i]);
			if (i > 0)
				putchar('\t');
			print_verdict(dkim, signatures[i]);
		}
	} else if (status != DKIM_STAT_OK && status != DKIM_STAT_NOSIG) {
		print_refusal(dkim, status, stage);
	}
	putchar('\n');
	dkim_free(dkim);
}

int main(int argc, char **argv)
{
	DKIM_LIB *library = dkim_init(NULL, NULL);
	u_int flags = DKIM_LIBFLAGS_BADSIGHANDLES;
	size_t length;

	if (argc != 2 || library == NULL)
		fail("usage: opendkim RECORDS < MESSAGES");
	if (!dkim_libfeature(library, DKIM_FEATURE_ED25519))
		fail("this libopendkim does not know Ed25519");
	read_records(argv[1]);
	dkim_options(library, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags);
	dkim_set_key_lookup(library, look_up);
	while (scanf("%zu", &length) == 1) {
		u_char *message = malloc(length + 1);

		if (getchar() != '\n' || message == NULL || fread(message, 1, length, stdin) != length)
			fail("the stream ends inside a message");
		message[length] = '\0';
		verify(library, message, length);
		free(message);
	}
	dkim_close(library);
	return 0;
}
