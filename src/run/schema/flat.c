/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, flat objects as forms: an object whose properties are choices, booleans, numbers,
 * dates and short texts becomes a plan whose fixed parts the engine writes itself and whose choices
 * are scored, with a probability each.
 * Owns: the plan until it is handed over. Threads: pure. Limits: run/form's.
 */
#include "run/schema/schema_internal.h"

#include <string.h>

#include "run/form/form.h"

#define BOUND_UNITS ((__int128)99999999ll * UNITS)

static enum fail no_field(struct fault *why, const char *name, const char *problem)
{
    (void)FAULT(why, FAIL_UNSUPPORTED, "JSON schema: #/properties/%.60s %s", name, problem);
    return fail_hint(why, "A form has enums, booleans, integers, numbers, dates and strings with "
                          "maxLength, in one flat object.");
}

/* Only keys of the list, and notes, may stand in o; NULL or the first other one. */
static const char *other_key(const json_t *o, const char *const *keys)
{
    static const char *const notes[] = {"title",    "description", "default", "examples",
                                        "$comment", "$schema",     "$id",     NULL};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value) {
        bool known = false;
        for (size_t i = 0; keys[i] != NULL; i++) {
            known = known || strcmp(keys[i], key) == 0;
        }
        for (size_t i = 0; notes[i] != NULL; i++) {
            known = known || strcmp(notes[i], key) == 0;
        }
        if (!known) {
            return key;
        }
    }
    return NULL;
}

struct making {
    struct form_plan *plan;
    struct buf literal; /* not yet in the plan */
    struct fault *why;
};

static enum fail put_piece(struct making *m, const struct form_piece *piece)
{
    struct form_piece literal = {.kind = FORM_LITERAL, .text = m->literal.data};
    enum fail failed = m->literal.overflow
                           ? FAULT(m->why, FAIL_TOO_LARGE, "JSON schema: names too long for a form")
                           : form_plan_add(m->plan, &literal, m->why);
    buf_clear(&m->literal);
    if (failed != FAIL_NONE || piece == NULL) {
        return failed;
    }
    struct fault limit = {0};
    failed = form_plan_add(m->plan, piece, &limit);
    if (failed != FAIL_NONE) {
        char problem[200];
        (void)snprintf(problem, sizeof problem, "is beyond a form: %.150s", limit.message);
        return no_field(m->why, piece->name, problem);
    }
    return FAIL_NONE;
}

/* Its bytes are the same inside the quotes of JSON. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static enum fail put_enum(struct making *m, const char *name, const json_t *values)
{
    const char *labels[FORM_LABELS_MAX];
    char numbers[FORM_LABELS_MAX][24];
    size_t n = json_array_size(values);
    bool strings = json_is_string(json_array_get(values, 0));
    if (n < 2 || n > FORM_LABELS_MAX) {
        return no_field(m->why, name, "must have 2 to 256 values");
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(values, i);
        if (strings && json_is_string(value) && is_plain(json_string_value(value))) {
            labels[i] = json_string_value(value);
        } else if (!strings && json_is_integer(value)) {
            (void)snprintf(numbers[i], sizeof numbers[i], "%lld",
                           (long long)json_integer_value(value));
            labels[i] = numbers[i];
        } else {
            return no_field(m->why, name, "must have plain strings only, or integers only");
        }
    }
    (void)buf_add_str(&m->literal, strings ? "\"" : "");
    const struct form_piece piece = {
        .kind = FORM_CHOICE, .name = name, .labels = labels, .n_labels = n, .gamma = 0.5};
    enum fail failed = put_piece(m, &piece);
    (void)buf_add_str(&m->literal, strings ? "\"" : "");
    return failed;
}

static void show_units(__int128 units, unsigned decimals, char *out, size_t room)
{
    bool minus = units < 0;
    uint64_t size = (uint64_t)((minus ? -units : units) / (UNITS / 1000000));
    uint64_t whole = size / 1000000;
    uint64_t part = size % 1000000;
    for (unsigned i = decimals; i < 6; i++) {
        part /= 10;
    }
    int n = snprintf(out, room, "%s%llu", minus ? "-" : "", (unsigned long long)whole);
    if (decimals > 0 && n > 0) {
        (void)snprintf(out + n, room - (size_t)n, ".%0*llu", (int)decimals,
                       (unsigned long long)part);
    }
}

static enum fail put_number(struct making *m, const char *name, const json_t *o, bool integer)
{
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum",
                                       "exclusiveMaximum"};
    struct number n = {.lo = -BOUND_UNITS, .hi = BOUND_UNITS};
    __int128 step = integer ? UNITS : UNITS / 100;
    unsigned decimals = integer ? 0 : 2;
    int sign;
    const json_t *multiple = json_object_get(o, "multipleOf");
    if (multiple != NULL) {
        if (!number_units(multiple, &step, &sign)) {
            step = 0;
        }
        for (decimals = 0; decimals <= 6 && step != UNITS; decimals++) {
            step *= 10;
        }
        if (step != UNITS || (integer && decimals > 0)) {
            return no_field(m->why, name, "has a multipleOf that is not 1, 0.1, 0.01, ...");
        }
        step = UNITS;
        for (unsigned i = 0; i < decimals; i++) {
            step /= 10;
        }
    }
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        __int128 units = 0;
        const json_t *value = json_object_get(o, keys[i]);
        if (value == NULL || (!number_units(value, &units, &sign) && sign != 0)) {
            continue;
        }
        units += i == 1 ? 1 : i == 3 ? -1 : 0;
        n.lo = i < 2 && units > n.lo ? units : n.lo;
        n.hi = i >= 2 && units < n.hi ? units : n.hi;
    }
    /* Onto the grid: up for the least, down for the greatest. */
    __int128 low = n.lo / step * step;
    low += low < n.lo ? step : 0;
    __int128 high = n.hi / step * step;
    high -= high > n.hi ? step : 0;
    if (low > high) {
        return no_field(m->why, name, "has bounds that no number of its decimals fits");
    }
    char min[32];
    char max[32];
    show_units(low, decimals, min, sizeof min);
    show_units(high, decimals, max, sizeof max);
    const struct form_piece piece = {
        .kind = FORM_NUMBER, .name = name, .min = min, .max = max, .decimals = decimals};
    return put_piece(m, &piece);
}

static enum fail put_string(struct making *m, const char *name, const json_t *o)
{
    static const char *const stops[] = {"\""};
    const char *format = json_string_value(json_object_get(o, "format"));
    int64_t most = json_integer_value(json_object_get(o, "maxLength"));
    struct form_piece piece = {.kind = FORM_TEXT, .name = name, .single_line = true};
    if (format != NULL && strcmp(format, "date") == 0) {
        piece = (struct form_piece){
            .kind = FORM_DATE, .name = name, .min = "1900-01-01", .max = "2099-12-31"};
    } else if (format != NULL || most < 1 || most > FORM_CHARS_MAX) {
        return no_field(m->why, name, "must have maxLength (1 to 4000), or the format date");
    } else {
        piece.max_chars = (unsigned)most;
        piece.stops = stops;
        piece.n_stops = 1;
    }
    (void)buf_add_char(&m->literal, '"');
    enum fail failed = put_piece(m, &piece);
    (void)buf_add_char(&m->literal, '"');
    return failed;
}

static enum fail put_property(struct making *m, const char *name, const json_t *o)
{
    static const char *const of_enum[] = {"type", "enum", NULL};
    static const char *const of_boolean[] = {"type", NULL};
    static const char *const of_number[] = {"type",    "minimum",          "maximum", "multipleOf",
                                            "exclusiveMinimum", "exclusiveMaximum", NULL};
    static const char *const of_string[] = {"type", "maxLength", "format", NULL};
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *values = json_object_get(o, "enum");
    bool number = type != NULL && (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0);
    bool boolean = type != NULL && strcmp(type, "boolean") == 0;
    bool string = type != NULL && strcmp(type, "string") == 0;
    const char *const *keys = values != NULL ? of_enum
                              : boolean      ? of_boolean
                              : number       ? of_number
                                             : of_string;
    if (values == NULL && !number && !boolean && !string) {
        return no_field(m->why, name, "has no type that a form can hold");
    }
    const char *other = other_key(o, keys);
    if (other != NULL) {
        char problem[80];
        (void)snprintf(problem, sizeof problem, "has \"%.40s\", which a form cannot keep", other);
        return no_field(m->why, name, problem);
    }
    if (values != NULL) {
        return put_enum(m, name, values);
    }
    if (boolean) {
        const struct form_piece piece = {.kind = FORM_BOOLEAN, .name = name, .gamma = 0.5};
        return put_piece(m, &piece);
    }
    return number ? put_number(m, name, o, type[0] == 'i') : put_string(m, name, o);
}

static enum fail put_all(struct making *m, const json_t *tree)
{
    json_t *properties = json_object_get(tree, "properties");
    const char *name;
    json_t *value;
    bool first = true;
    enum fail failed = FAIL_NONE;
    json_object_foreach(properties, name, value) {
        if (failed == FAIL_NONE) {
            (void)buf_add_str(&m->literal, first ? "{" : ", ");
            json_spell_string(name, strlen(name), &m->literal);
            (void)buf_add_str(&m->literal, ": ");
            failed = put_property(m, name, value);
        }
        first = false;
    }
    (void)buf_add_char(&m->literal, '}');
    return failed != FAIL_NONE ? failed : put_piece(m, NULL);
}

enum fail schema_form(const json_t *tree, struct form_plan **out, struct fault *why)
{
    static const char *const keys[] = {"type", "properties", "required", "additionalProperties",
                                       NULL};
    struct schema *schema = NULL;
    enum fail failed = schema_compile(tree, &schema, why); /* all errors of a schema are its */
    if (failed != FAIL_NONE) {
        return failed;
    }
    schema_free(schema);
    const char *other = json_is_object(tree) ? other_key(tree, keys) : "true";
    const char *type = json_string_value(json_object_get(tree, "type"));
    if (other != NULL || type == NULL || strcmp(type, "object") != 0 ||
        json_object_size(json_object_get(tree, "properties")) == 0) {
        return FAULT(why, FAIL_UNSUPPORTED, "JSON schema: # is not a flat object with properties");
    }
    const json_t *required = json_object_get(tree, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (json_object_get(json_object_get(tree, "properties"), name) == NULL) {
            return no_field(why, name, "is required and not described");
        }
    }
    struct making m = {.plan = form_plan_new(), .why = why};
    buf_init(&m.literal, FORM_LITERAL_BYTES_MAX);
    failed = put_all(&m, tree);
    buf_done(&m.literal);
    if (failed != FAIL_NONE) {
        form_plan_free(m.plan);
        return failed;
    }
    *out = m.plan;
    return FAIL_NONE;
}

/* A text as the model wrote it inside quotes: its escapes mean what they mean in JSON; where they
   make none, they are plain characters. */
static void spell_text(const char *value, struct buf *out)
{
    AUTO_JSON json_t *read = NULL;
    struct buf quoted;
    buf_init(&quoted, FORM_CHARS_MAX * 4 + 8);
    bool whole = buf_add_char(&quoted, '"') && buf_add_str(&quoted, value) &&
                 buf_add_char(&quoted, '"') &&
                 jn_parse(quoted.data, quoted.len, "a text", &read, NULL) == FAIL_NONE &&
                 json_is_string(read);
    buf_done(&quoted);
    const char *text = whole ? json_string_value(read) : value;
    struct buf spelled;
    buf_init(&spelled, FORM_CHARS_MAX * 8 + 8);
    json_spell_string(text, strlen(text), &spelled);
    if (spelled.overflow || spelled.len < 2) {
        out->overflow = true;
    } else {
        (void)buf_add(out, spelled.data + 1, spelled.len - 2); /* the plan has the quotes */
    }
    buf_done(&spelled);
}

bool schema_form_fill(const struct schema *schema, const struct form_plan *plan,
                      const struct form_result *result, struct buf *out)
{
    size_t start = out->len;
    size_t hole = 0;
    for (size_t i = 0; i < plan->n_pieces; i++) {
        const struct form_piece *piece = &plan->pieces[i];
        if (piece->kind == FORM_LITERAL) {
            (void)buf_add_str(out, piece->text);
        } else if (hole == result->n_fields) {
            return false;
        } else if (piece->kind == FORM_TEXT) {
            spell_text(result->fields[hole++].value, out);
        } else {
            (void)buf_add_str(out, result->fields[hole++].value);
        }
    }
    return !out->overflow && hole == result->n_fields && out->len > start &&
           schema_accepts(schema, NULL, out->data + start, out->len - start);
}
