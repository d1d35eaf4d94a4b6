/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mail by GMime: the text a person wrote, quotes and signature apart; of alternatives the plain one
 * where it says anything; everything else listed and handed over as attachments, mails inside the
 * mail too, each to be read by a process of its own.
 * Owns: GMime's objects. Threads: one. Limits: parts, depth, attachments of the sink. GMime's own
 * charset conversion is iconv.c; bodies go through charset.c.
 */
#include <string.h>

#include <gmime/gmime.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

struct mail {
    struct sink *out;
    const char *charset; /* asked for */
    uint32_t parts, depth;
};

static void walk(struct mail *m, GMimeObject *object, bool attach);

/* ---- the head ---- */

static void put_addresses(struct mail *m, enum document_meta_key key, InternetAddressList *list)
{
    int n = list == NULL ? 0 : internet_address_list_length(list);
    for (int i = 0; i < n && m->out->failed == FAIL_NONE; i++) {
        InternetAddress *one = internet_address_list_get_address(list, i);
        char *text = internet_address_to_string(one, NULL, FALSE);
        (void)sink_meta_str(m->out, key, text);
        g_free(text);
    }
}

static void put_head(struct mail *m, GMimeMessage *message)
{
    GMimeObject *object = GMIME_OBJECT(message);
    const char *replied = g_mime_object_get_header(object, "Auto-Submitted");
    GDateTime *date = g_mime_message_get_date(message);
    (void)sink_meta_str(m->out, DOCUMENT_META_SUBJECT, g_mime_message_get_subject(message));
    put_addresses(m, DOCUMENT_META_FROM, g_mime_message_get_from(message));
    put_addresses(m, DOCUMENT_META_TO, g_mime_message_get_to(message));
    put_addresses(m, DOCUMENT_META_CC, g_mime_message_get_cc(message));
    put_addresses(m, DOCUMENT_META_REPLY_TO, g_mime_message_get_reply_to(message));
    if (date != NULL) {
        char *text = g_date_time_format_iso8601(date);
        (void)sink_meta_str(m->out, DOCUMENT_META_DATE, text);
        g_free(text);
    } else if (g_mime_object_get_header(object, "Date") != NULL) {
        sink_warn(m->out, "the date cannot be read");
    }
    (void)sink_meta_str(m->out, DOCUMENT_META_MESSAGE_ID, g_mime_message_get_message_id(message));
    (void)sink_meta_str(m->out, DOCUMENT_META_IN_REPLY_TO,
                        g_mime_object_get_header(object, "In-Reply-To"));
    (void)sink_meta_str(m->out, DOCUMENT_META_REFERENCES,
                        g_mime_object_get_header(object, "References"));
    (void)sink_meta_str(m->out, DOCUMENT_META_LANGUAGE,
                        g_mime_object_get_header(object, "Content-Language"));
    if (replied != NULL && g_ascii_strncasecmp(replied, "no", 2) != 0) {
        (void)sink_meta_str(m->out, DOCUMENT_META_AUTO_REPLY, replied);
    }
}

/* ---- parts ---- */

/* A part's bytes, its transfer encoding undone. */
static GByteArray *bytes_of(GMimePart *part)
{
    GMimeDataWrapper *content = g_mime_part_get_content(part);
    GMimeStream *stream = g_mime_stream_mem_new();
    if (content != NULL) {
        g_mime_data_wrapper_write_to_stream(content, stream);
    }
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
    g_object_unref(stream);
    return bytes;
}

static bool is_type(GMimeObject *object, const char *type, const char *subtype)
{
    GMimeContentType *t = g_mime_object_get_content_type(object);
    return t != NULL && g_mime_content_type_is_type(t, type, subtype);
}

static void put_text(struct mail *m, GMimePart *part)
{
    GMimeContentType *type = g_mime_object_get_content_type(GMIME_OBJECT(part));
    const char *declared = g_mime_content_type_get_parameter(type, "charset");
    const char *format = g_mime_content_type_get_parameter(type, "format");
    bool flowed = format != NULL && g_ascii_strcasecmp(format, "flowed") == 0;
    GByteArray *bytes = bytes_of(part);
    struct decoded d;
    if (charset_decode(m->out, (const char *)bytes->data, bytes->len, m->charset, declared, &d) ==
        FAIL_NONE) {
        (void)(is_type(GMIME_OBJECT(part), "text", "html")
                   ? html_read_text(d.text, d.len, m->out, false)
                   : text_read_message(d.text, d.len, flowed, m->out));
    }
    charset_done(&d);
    g_byte_array_unref(bytes);
}

static void put_attachment(struct mail *m, GMimeObject *object, const char *name,
                           const GByteArray *bytes)
{
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
    const char *disposition = g_mime_object_get_disposition(object);
    const char *id = g_mime_object_get_content_id(object);
    struct document_attachment a = {
        .name = name,
        .type = type,
        .content_id = id,
        .is_inline = disposition != NULL ? g_ascii_strcasecmp(disposition, "inline") == 0
                                         : id != NULL,
        .part = m->out->part,
        .bytes = bytes->data,
        .len = bytes->len};
    (void)sink_attach(m->out, &a);
    g_free(type);
}

static void attach_part(struct mail *m, GMimePart *part)
{
    GByteArray *bytes = bytes_of(part);
    put_attachment(m, GMIME_OBJECT(part), g_mime_part_get_filename(part), bytes);
    g_byte_array_unref(bytes);
}

/* A mail in the mail, as bytes again. */
static void attach_message(struct mail *m, GMimeMessagePart *part)
{
    GMimeMessage *inner = g_mime_message_part_get_message(part);
    GByteArray *bytes = g_byte_array_new();
    char name[260] = "message.eml";
    if (inner != NULL) {
        const char *subject = g_mime_message_get_subject(inner);
        GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
        g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
        g_mime_object_write_to_stream(GMIME_OBJECT(inner), NULL, stream);
        g_object_unref(stream);
        if (subject != NULL && subject[0] != '\0') {
            (void)g_snprintf(name, sizeof(name), "%.240s.eml", subject);
        }
    }
    put_attachment(m, GMIME_OBJECT(part), name, bytes);
    g_byte_array_unref(bytes);
}

static bool has_text(GMimePart *part)
{
    GByteArray *bytes = bytes_of(part);
    bool found = false;
    for (guint i = 0; i < bytes->len && !found; i++) {
        found = !g_ascii_isspace(bytes->data[i]);
    }
    g_byte_array_unref(bytes);
    return found;
}

/* Which of several forms of one text is read: the plain one if it says anything, else the last. */
static int choose(GMimeMultipart *multipart, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++) {
        GMimeObject *one = g_mime_multipart_get_part(multipart, i);
        if (is_type(one, "text", "plain") && GMIME_IS_PART(one) && has_text(GMIME_PART(one))) {
            return i;
        }
        if (GMIME_IS_MULTIPART(one) || is_type(one, "text", "*")) {
            best = is_type(one, "text", "calendar") && best >= 0 ? best : i;
        }
    }
    return best >= 0 ? best : n - 1;
}

static void walk_parts(struct mail *m, GMimeMultipart *multipart, bool attach)
{
    int n = g_mime_multipart_get_count(multipart);
    bool alternative = is_type(GMIME_OBJECT(multipart), "multipart", "alternative");
    bool related = is_type(GMIME_OBJECT(multipart), "multipart", "related");
    int chosen = alternative && !attach && n > 0 ? choose(multipart, n) : -1;
    for (int i = 0; i < n && m->out->failed == FAIL_NONE; i++) {
        GMimeObject *one = g_mime_multipart_get_part(multipart, i);
        if (chosen < 0) {
            walk(m, one, attach || (related && i > 0));
        } else if (i == chosen) {
            walk(m, one, false);
        } else if (!is_type(one, "text", "plain") && !is_type(one, "text", "html") &&
                   !GMIME_IS_MULTIPART(one)) {
            walk(m, one, true); /* an invitation, a watch's own form */
        }
    }
}

static bool is_body(GMimePart *part)
{
    GMimeObject *object = GMIME_OBJECT(part);
    const char *disposition = g_mime_object_get_disposition(object);
    bool attached = disposition != NULL && g_ascii_strcasecmp(disposition, "attachment") == 0;
    bool named = g_mime_part_get_filename(part) != NULL;
    bool status = is_type(object, "message", "delivery-status") ||
                  is_type(object, "message", "disposition-notification");
    return !attached && (status || (is_type(object, "text", "*") && !named &&
                                    !is_type(object, "text", "calendar") &&
                                    !is_type(object, "text", "rfc822-headers")));
}

static void walk(struct mail *m, GMimeObject *object, bool attach)
{
    if (object == NULL || m->out->failed != FAIL_NONE) {
        return;
    }
    m->out->part = ++m->parts;
    if (m->parts > m->out->limits.parts) {
        (void)sink_fail(m->out, FAIL_TOO_LARGE, "No mail that people write is built like this.",
                        "the mail has more than %u parts", m->out->limits.parts);
    } else if (++m->depth > m->out->limits.depth) {
        (void)sink_fail(m->out, FAIL_TOO_LARGE, "No mail that people write is built like this.",
                        "the mail's parts are nested more than %u deep", m->out->limits.depth);
    } else if (GMIME_IS_MULTIPART(object)) {
        walk_parts(m, GMIME_MULTIPART(object), attach);
    } else if (GMIME_IS_MESSAGE_PART(object)) {
        attach_message(m, GMIME_MESSAGE_PART(object));
    } else if (GMIME_IS_PART(object) && !attach && is_body(GMIME_PART(object))) {
        put_text(m, GMIME_PART(object));
    } else if (GMIME_IS_PART(object)) {
        attach_part(m, GMIME_PART(object));
    }
    m->depth--;
}

enum fail mail_read(const struct source *in, struct sink *out)
{
    struct mail m = {.out = out, .charset = in->charset};
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(in->bytes, in->len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = in->len == 0 ? NULL : g_mime_parser_construct_message(parser, NULL);
    if (message == NULL) {
        (void)sink_fail(out, FAIL_BAD_REQUEST, "A mail begins with lines like \"From: ...\".",
                        "this is no mail: it has no head");
    } else if (sink_start(out, "mail", "") == FAIL_NONE) {
        put_head(&m, message);
        walk(&m, g_mime_message_get_mime_part(message), false);
        if (m.parts == 0) {
            sink_warn(out, "the mail has no body");
        }
    }
    if (message != NULL) {
        g_object_unref(message);
    }
    g_object_unref(parser);
    g_object_unref(stream);
    return out->failed;
}
