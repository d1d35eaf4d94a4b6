/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every file of the localisation data through reader and writer: no change gives the same bytes;
 * one target changed changes its span and nothing else, and reads back as it was meant; all targets
 * changed at once read back as well. Skips (77) without INHOUSE_DATA.
 * Threads: none beside the reader's children.
 */
#include "work/localize/localize.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text/text.h"
#include "run/reader/reader.h"

#define FILES_MAX 64

static char reader_path[1024];
static char files[FILES_MAX][1024];
static size_t files_len;

struct opened {
    char *bytes;
    size_t len;
    struct document *document;
    struct arena *arena;
    struct localize_file file;
};

static void read_bytes(struct opened *o, const char *name, const void *bytes, size_t len)
{
    struct reader_programs programs = {reader_path, "/bin/false"};
    struct reader_ask ask = {.data = bytes, .len = len, .format = localize_format_of(name),
                             .name = name};
    struct fault why = {0};
    o->arena = arena_new(64 << 20);
    if (reader_read(&programs, &ask, &o->document, &why) != FAIL_NONE ||
        localize_file_read(o->document, o->arena, &o->file, &why) != FAIL_NONE) {
        fail_msg("%s: %s", name, why.message);
    }
}

static void close_file(struct opened *o)
{
    document_free(o->document);
    arena_free(o->arena);
    mem_free(o->bytes);
}

static void open_file(struct opened *o, const char *name)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    o->bytes = mem_alloc(1 << 20);
    o->len = fread(o->bytes, 1, 1 << 20, f);
    assert_true(o->len > 0 && o->len < (1 << 20));
    (void)fclose(f);
    read_bytes(o, name, o->bytes, o->len);
}

static bool may_change(const struct localize_unit *u)
{
    return (u->marks_are & (LOCALIZE_OBSOLETE | LOCALIZE_ODD)) == 0 && u->targets_len > 0;
}

/* One target of every nth unit, each alone. */
static void change_one_by_one(const char *name, struct opened *o, size_t every)
{
    static const char text[] =
        "Zw\xC3\xB6lf \"Boxk\xC3\xA4mpfer\" & <jagen>\nViktor, quer; \\ \xF0\x9F\x98\x80";
    for (size_t i = 0; i < o->file.len; i += every) {
        const struct localize_unit *u = &o->file.units[i];
        if (!may_change(u)) {
            continue;
        }
        size_t k = u->targets_len - 1;
        struct localize_change c = {i, k, text, strlen(text)};
        struct fault why = {0};
        struct opened again = {0};
        struct buf out;
        buf_init(&out, 4 << 20);
        if (localize_write(&o->file, o->bytes, o->len, &c, 1, &out, &why) != FAIL_NONE) {
            fail_msg("%s %s: %s", name, u->id, why.message);
        }
        size_t begin = (size_t)u->targets[k].begin, tail = o->len - (size_t)u->targets[k].end;
        bool stated = u->state_end > u->state_begin && (u->marks_are & LOCALIZE_FUZZY) != 0;
        if (!stated) {
            assert_memory_equal(out.data, o->bytes, begin);
            assert_memory_equal(out.data + out.len - tail, o->bytes + o->len - tail, tail);
        }
        read_bytes(&again, name, out.data, out.len);
        assert_int_equal(again.file.len, o->file.len);
        for (size_t j = 0; j < o->file.len; j++) {
            for (size_t m = 0; m < o->file.units[j].targets_len; m++) {
                const char *want = j == i && m == k ? text : o->file.units[j].targets[m].text;
                assert_string_equal(again.file.units[j].targets[m].text, want);
            }
        }
        if (stated) {
            assert_true((again.file.units[i].marks_are & LOCALIZE_FUZZY) == 0);
        }
        buf_done(&out);
        close_file(&again);
    }
}

static void change_all(const char *name, struct opened *o)
{
    struct localize_change *all = mem_alloc_array(o->file.len * LOCALIZE_FORMS_MAX, sizeof(*all));
    size_t n = 0;
    struct fault why = {0};
    struct opened again = {0};
    struct buf out;
    buf_init(&out, 16 << 20);
    for (size_t i = 0; i < o->file.len; i++) {
        const struct localize_unit *u = &o->file.units[i];
        for (size_t k = 0; may_change(u) && k < u->targets_len; k++) {
            const char *text = arena_printf(o->arena, "\xC2\xAB%s\xC2\xBB", u->targets[k].text);
            all[n++] = (struct localize_change){i, k, text, strlen(text)};
        }
    }
    if (localize_write(&o->file, o->bytes, o->len, all, n, &out, &why) != FAIL_NONE) {
        fail_msg("%s: %s", name, why.message);
    }
    read_bytes(&again, name, out.data, out.len);
    assert_int_equal(again.file.len, o->file.len);
    for (size_t i = 0; i < n; i++) {
        const struct localize_unit *u = &again.file.units[all[i].unit];
        assert_string_equal(u->targets[all[i].target].text, all[i].text);
        assert_true((u->marks_are & LOCALIZE_FUZZY) == 0);
    }
    buf_done(&out);
    close_file(&again);
    mem_free(all);
}

static void every_file_keeps_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < files_len; i++) {
        struct opened o = {0};
        struct fault why = {0};
        struct buf out;
        buf_init(&out, 4 << 20);
        open_file(&o, files[i]);
        assert_int_equal(localize_write(&o.file, o.bytes, o.len, NULL, 0, &out, &why), FAIL_NONE);
        assert_int_equal(out.len, o.len);
        assert_memory_equal(out.data, o.bytes, o.len);
        change_one_by_one(files[i], &o, o.file.len > 200 ? 41 : 7);
        change_all(files[i], &o);
        printf("%s: %zu units\n", strrchr(files[i], '/') + 1, o.file.len);
        buf_done(&out);
        close_file(&o);
    }
}

static void find_files(const char *folder, int depth)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[1024];
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= (int)sizeof(path)) {
            continue;
        }
        const char *format = localize_format_of(e->d_name);
        if (e->d_type == DT_DIR && depth > 0 && strstr(e->d_name, "glossary") == NULL) {
            find_files(path, depth - 1);
        } else if (format != NULL && files_len < FILES_MAX) {
            (void)text_copy(files[files_len++], sizeof(files[0]), path);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_keeps_its_bytes)};
    const char *data = getenv("INHOUSE_DATA"), *build = getenv("INHOUSE_BUILD");
    char folder[1024];
    (void)snprintf(folder, sizeof(folder), "%s/localization",
                   data == NULL ? "../shared/data" : data);
    (void)snprintf(reader_path, sizeof(reader_path), "%s/bin/inhouse-reader",
                   build == NULL ? "build" : build);
    find_files(folder, 2);
    if (files_len == 0 || fopen(reader_path, "rb") == NULL) {
        printf("no localisation data (INHOUSE_DATA) or no inhouse-reader: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
