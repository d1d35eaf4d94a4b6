/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines on stderr, built in one buffer and written once; plain lines on a terminal. */
#include "base/log/log.h"

#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "base/text/text.h"

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:+@"

static enum log_level least_level = LOG_LEVEL_INFO; /* atomic: SIGHUP may change it */
static const char *program = "inhouse";

void log_set_level(enum log_level least)
{
    __atomic_store_n(&least_level, least, __ATOMIC_RELAXED);
}

void log_set_program(const char *name)
{
    program = name;
}

static void add_quoted(struct buf *b, const char *s)
{
    size_t n = strnlen(s, 512);
    n = text_utf8_valid_prefix(s, n);
    buf_add_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            buf_printf(b, "\\%c", c);
        } else if (c < 0x20) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_add_char(b, (char)c);
        }
    }
    buf_add_char(b, '"');
}

/* Somebody watches: the time of day (UTC), the event, and its values without JSON's marks. */
static void say_event(const char *event, const struct log_field *fields)
{
    struct buf b;
    char at[CLOCK_RFC3339_SIZE];
    buf_init(&b, 16 * 1024);
    buf_printf(&b, "%.8sZ %s", clock_show(clock_now_us(), at) + 11, event);
    for (const struct log_field *f = fields; f != NULL && f->key != NULL; f++) {
        buf_printf(&b, " %s=", f->key);
        if (f->text == NULL) {
            buf_printf(&b, "%lld", (long long)f->number);
        } else if (f->text[0] != '\0' && f->text[strspn(f->text, PLAIN)] == '\0') {
            buf_printf(&b, "%.512s", f->text);
        } else {
            add_quoted(&b, f->text);
        }
    }
    buf_add_char(&b, '\n');
    ssize_t written = write(STDERR_FILENO, b.data, b.len);
    (void)written;
    buf_done(&b);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < __atomic_load_n(&least_level, __ATOMIC_RELAXED)) {
        return;
    }
    if (isatty(STDERR_FILENO) == 1) {
        say_event(event, fields);
        return;
    }
    struct buf b;
    char at[CLOCK_RFC3339_SIZE];
    buf_init(&b, 16 * 1024);
    buf_printf(&b, "{\"at\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\"",
               clock_show(clock_now_us(), at), names[level], program, event);
    for (const struct log_field *f = fields; f != NULL && f->key != NULL; f++) {
        buf_printf(&b, ",\"%s\":", f->key);
        if (f->text != NULL) {
            add_quoted(&b, f->text);
        } else {
            buf_printf(&b, "%lld", (long long)f->number);
        }
    }
    buf_add_str(&b, "}\n");
    ssize_t written = write(STDERR_FILENO, b.data, b.len);
    (void)written; /* a log that cannot be written has nowhere to complain */
    buf_done(&b);
}

/* Somebody sits in front of it: the sentence and the advice, nothing else. */
static void say_fault(const struct fault *why)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s: %s\n", program, why->message);
    if (why->hint[0] != '\0') {
        buf_printf(&b, "  %s\n", why->hint);
    }
    ssize_t written = write(STDERR_FILENO, b.data, b.len);
    (void)written;
    buf_done(&b);
}

void log_fault(enum log_level level, const char *event, const struct fault *why)
{
    if (level >= LOG_LEVEL_WARN && isatty(STDERR_FILENO) == 1) {
        say_fault(why);
        return;
    }
    log_write(level, event,
              LOG_FIELDS(LOG_TEXT("code", fail_name(why->code)), LOG_TEXT("message", why->message),
                         LOG_TEXT("hint", why->hint), LOG_TEXT("file", why->file ? why->file : ""),
                         LOG_NUM("line", why->line)));
}
