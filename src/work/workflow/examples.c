/* SPDX-License-Identifier: Apache-2.0 */
/* A definition from labelled examples: the fields are those the examples name, the labels what
   they hold. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "work/workflow/workflow.h"

struct column {
    const char *name;
    const char *labels[LADDER_MAX_LABELS + 1];
    size_t labels_len;
    size_t given;
    bool too_many;
};

static struct column *column_of(struct column *columns, size_t *len, const char *name)
{
    for (size_t i = 0; i < *len; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            return &columns[i];
        }
    }
    if (*len == LADDER_MAX_FIELDS) {
        return NULL;
    }
    columns[*len].name = name;
    return &columns[(*len)++];
}

static void add_value(struct column *c, const char *value)
{
    c->given++;
    for (size_t i = 0; i < c->labels_len; i++) {
        if (strcmp(c->labels[i], value) == 0) {
            return;
        }
    }
    if (c->labels_len == LADDER_MAX_LABELS || strlen(value) > 128 || value[0] == '\0') {
        c->too_many = true;
        return;
    }
    c->labels[c->labels_len++] = value;
}

/* Double-quoted YAML: what JSON escapes, YAML reads. */
static void add_yaml_string(struct buf *yaml, const char *s)
{
    buf_add_char(yaml, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            buf_printf(yaml, "\\%c", c);
        } else if (c < 0x20) {
            buf_printf(yaml, "\\x%02x", c);
        } else {
            buf_add_char(yaml, (char)c);
        }
    }
    buf_add_char(yaml, '"');
}

static void add_field(struct buf *yaml, const struct column *c)
{
    buf_printf(yaml, "  - name: %s\n    type: choice\n    target_error: 0.05\n    labels:\n",
               c->name);
    for (size_t i = 0; i < c->labels_len; i++) {
        buf_add_str(yaml, "      - ");
        add_yaml_string(yaml, c->labels[i]);
        buf_add_char(yaml, '\n');
    }
}

/* ---- values that stand in the text ---- */

#define LOOKED_AT 300 /* examples, to tell what kind a field is */
#define FEW_LABELS 12

static const char *value_in(const struct workflow_example *x, const char *name)
{
    for (size_t k = 0; k < x->n; k++) {
        if (strcmp(x->names[k], name) == 0) {
            return x->values[k] != NULL ? x->values[k] : "";
        }
    }
    return "";
}

/* Is this a field of values found in the text, and of which kind? */
static bool is_found(const struct column *c, const struct workflow_example *examples, size_t n,
                     enum extract_kind *kind)
{
    struct extract_example *ex = mem_alloc_array(LOOKED_AT, sizeof(*ex));
    size_t len = 0, stands = 0;
    for (size_t i = 0; i < n && len < LOOKED_AT; i++) {
        const char *value = value_in(&examples[i], c->name);
        if (examples[i].text != NULL && value[0] != '\0') {
            ex[len++] = (struct extract_example){.text = examples[i].text, .value = value,
                                                 .text_len = strlen(examples[i].text),
                                                 .scene = {.now = clock_now_us() / 1000000}};
        }
    }
    *kind = extract_guess_kind(ex, len);
    for (size_t i = 0; i < len; i++) {
        uint32_t at, bytes;
        stands += extract_locate(*kind, ex[i].text, ex[i].text_len, &ex[i].scene, ex[i].value, &at,
                                 &bytes);
    }
    mem_free(ex);
    bool choice = !c->too_many && c->labels_len >= 2 && c->labels_len * 2 <= c->given;
    bool closed = choice && c->labels_len <= FEW_LABELS && c->given == n;
    return len > 0 && !closed && 100 * stands >= (choice ? 95U : 50U) * len;
}

static bool is_field_name(const char *s)
{
    return s[0] >= 'a' && s[0] <= 'z' && strlen(s) < 48 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

enum fail workflow_from_examples(const char *name, const struct workflow_example *examples,
                                 size_t n, struct buf *yaml, struct fault *why)
{
    if (!text_is_name(name) || strlen(name) > 63) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.64s\" cannot be a workflow's name", name);
        fail_hint(why, "Use up to 63 of a-z, 0-9, dot, dash and underscore.");
        return FAIL_BAD_REQUEST;
    }
    struct column *columns = mem_alloc_array(LADDER_MAX_FIELDS, sizeof(*columns));
    size_t len = 0, usable = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < examples[i].n; k++) {
            struct column *c = column_of(columns, &len, examples[i].names[k]);
            bool given = examples[i].values[k] != NULL && examples[i].values[k][0] != '\0';
            if (c != NULL && given) {
                add_value(c, examples[i].values[k]);
            }
        }
    }
    buf_printf(yaml, "name: %s\ntitle: Made from %zu labelled examples\nfields:\n", name, n);
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < len; i++) {
        const struct column *c = &columns[i];
        if (!is_field_name(c->name)) { /* it is written into YAML as it is */
            f = FAULT(why, FAIL_BAD_REQUEST, "\"%.40s\" cannot be a field's name", c->name);
            fail_hint(why, "Names in `expected` are a-z, 0-9 and _, up to 47 of them.");
            break;
        }
        enum extract_kind kind;
        if (is_found(c, examples, n, &kind)) {
            buf_printf(yaml, "  - name: %s\n    type: %s\n    target_error: 0.05\n", c->name,
                       extract_kind_name(kind));
            usable++;
            continue;
        }
        if (c->too_many || c->labels_len < 2 || c->labels_len * 2 > c->given) {
            f = FAULT(why, FAIL_BAD_REQUEST,
                      "the field \"%.40s\" has %s%zu distinct values in %zu examples: no choice",
                      c->name, c->too_many ? "over " : "", c->labels_len, c->given);
            fail_hint(why,
                      "Leave it out of `expected`, or give every value at least twice on average.");
            break;
        }
        add_field(yaml, c);
        usable++;
    }
    mem_free(columns);
    if (f == FAIL_NONE && usable == 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "the examples name no field in `expected`");
    }
    if (f == FAIL_NONE) {
        buf_printf(yaml,
                   "prompt:\n  system: You sort texts. Answer with the form and nothing else.\n"
                   "  prefix: \"Text:\\n\"\n  suffix: \"\\n\\nFill in the form for this text.\"\n");
        f = yaml->overflow ? FAULT(why, FAIL_TOO_LARGE, "the definition would be too large")
                           : FAIL_NONE;
    }
    return f;
}
