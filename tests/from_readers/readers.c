/*
 * Reads many From values with the parsers of OpenDKIM and of GMime. The formats are those
 * of readers.py.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmime/gmime.h>

/* Of libopendkim, which declares it in a header that Debian does not install. */
int dkim_mail_parse(unsigned char *line, unsigned char **user, unsigned char **domain);

static void fail(const char *text)
{
	fprintf(stderr, "%s\n", text);
	exit(1);
}

/* Octets beyond ASCII stay as they are: who reads the line takes what is no UTF-8 for such. */
static void print_text(const char *text)
{
	putchar('"');
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at < 0x20 || *at == '"' || *at == '\\')
			printf("\\u%04x", *at);
		else
			putchar(*at);
	}
	putchar('"');
}

static void read_with_opendkim(const char *value)
{
	unsigned char *line = (unsigned char *)strdup(value);
	unsigned char *user = NULL;
	unsigned char *domain = NULL;

	printf("\"OpenDKIM\": [");
	if (dkim_mail_parse(line, &user, &domain) == 0 && domain != NULL && *domain != '\0')
		print_text((const char *)domain);
	printf("]");
	free(line);
}

static bool print_domains(InternetAddressList *list, bool first)
{
	for (int index = 0; index < internet_address_list_length(list); index++) {
		InternetAddress *address = internet_address_list_get_address(list, index);

		if (INTERNET_ADDRESS_IS_GROUP(address)) {
			InternetAddressGroup *group = INTERNET_ADDRESS_GROUP(address);

			first = print_domains(internet_address_group_get_members(group), first);
			continue;
		}
		const char *text = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));
		const char *at = text == NULL ? NULL : strrchr(text, '@');

		if (at == NULL)
			continue;
		if (!first)
			printf(", ");
		print_text(at + 1);
		first = false;
	}
	return first;
}

static void read_with_gmime(const char *value)
{
	InternetAddressList *list = internet_address_list_parse(NULL, value);

	printf("\"GMime\": [");
	if (list != NULL) {
		print_domains(list, true);
		g_object_unref(list);
	}
	printf("]");
}

int main(void)
{
	char line[32];

	g_mime_init();
	while (fgets(line, sizeof line, stdin) != NULL) {
		size_t length = strtoul(line, NULL, 10);
		char *value = calloc(1, length + 1);

		if (value == NULL || fread(value, 1, length, stdin) != length)
			fail("the stream ends inside a value");
		printf("{");
		read_with_opendkim(value);
		printf(", ");
		read_with_gmime(value);
		printf("}\n");
		free(value);
	}
	return 0;
}
