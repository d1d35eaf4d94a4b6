/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/form, plans: pieces checked one by one, from C and from JSON alike, and written back.
 * Owns: the plan's arena. Threads: none shared. Limits: FORM_*_MAX; a plan takes at most 8 MiB.
 */
#include "run/form/form_internal.h"

#include <string.h>

#define PLAN_BYTES_MAX (8u * 1024 * 1024)
#define DEFAULT_GAMMA 0.5

static const char *const kind_names[FORM_KIND_COUNT] = {"literal", "choice", "text",
                                                        "number",  "date",   "boolean"};
static const char *const boolean_labels[] = {"true", "false"};

const char *form_kind_name(enum form_kind kind)
{
    ASSERT(kind < FORM_KIND_COUNT);
    return kind_names[kind];
}

struct form_plan *form_plan_new(void)
{
    struct form_plan *plan = mem_alloc(sizeof *plan);
    plan->arena = arena_new(PLAN_BYTES_MAX);
    plan->pieces = arena_alloc(plan->arena, FORM_PIECES_MAX * sizeof *plan->pieces);
    return plan;
}

void form_plan_free(struct form_plan *plan)
{
    if (plan != NULL) {
        arena_free(plan->arena);
        mem_free(plan);
    }
}

/* Checks. Each names the member at fault. */

static enum fail refuse(struct fault *why, const struct form_piece *piece, const char *member,
                        const char *problem)
{
    (void)FAULT(why, FAIL_BAD_REQUEST, "form piece %s%s%s: %s %s", form_kind_name(piece->kind),
                piece->name == NULL ? "" : " ", piece->name == NULL ? "" : piece->name, member,
                problem);
    return fail_param(why, member);
}

static bool text_in(const char *s, size_t min, size_t max)
{
    size_t len = s == NULL ? 0 : strnlen(s, max + 1);
    return len >= min && len <= max && (len == 0 || text_utf8_is_valid(s, len));
}

static enum fail check_name(const struct form_plan *plan, const struct form_piece *piece,
                            struct fault *why)
{
    const char *name = piece->name;
    if (!text_in(name, 1, FORM_NAME_BYTES_MAX) || name[0] < 'a' || name[0] > 'z' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name)) {
        struct form_piece unnamed = *piece;
        unnamed.name = NULL;
        return refuse(why, &unnamed, "name", "must be [a-z][a-z0-9_]{0,47}");
    }
    for (size_t i = 0; i < plan->n_pieces; i++) {
        if (plan->pieces[i].name != NULL && strcmp(plan->pieces[i].name, name) == 0) {
            return refuse(why, piece, "name", "is used twice");
        }
    }
    return FAIL_NONE;
}

static enum fail check_labels(const struct form_piece *piece, struct fault *why)
{
    if (piece->n_labels < 2 || piece->n_labels > FORM_LABELS_MAX) {
        return refuse(why, piece, "labels", "must be 2 to 256");
    }
    for (size_t i = 0; i < piece->n_labels; i++) {
        if (!text_in(piece->labels[i], 1, FORM_LABEL_BYTES_MAX)) {
            return refuse(why, piece, "labels", "must each have 1 to 128 bytes of UTF-8");
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(piece->labels[i], piece->labels[j]) == 0) {
                return refuse(why, piece, "labels", "must differ");
            }
        }
    }
    if (!(piece->gamma >= 0 && piece->gamma <= 1)) {
        return refuse(why, piece, "gamma", "must be 0 to 1");
    }
    if (!(piece->temperature >= 0.05 && piece->temperature <= 20)) {
        return refuse(why, piece, "temperature", "must be 0.05 to 20");
    }
    return FAIL_NONE;
}

static enum fail check_text(const struct form_piece *piece, struct fault *why)
{
    if (piece->max_chars < 1 || piece->max_chars > FORM_CHARS_MAX) {
        return refuse(why, piece, "max_chars", "must be 1 to 4000");
    }
    if (piece->n_stops > FORM_STOPS_MAX) {
        return refuse(why, piece, "stop", "must be at most 8 strings");
    }
    for (size_t i = 0; i < piece->n_stops; i++) {
        if (!text_in(piece->stops[i], 1, FORM_STOP_BYTES_MAX)) {
            return refuse(why, piece, "stop", "must each have 1 to 64 bytes of UTF-8");
        }
    }
    if (!(piece->temperature >= 0 && piece->temperature <= 2)) {
        return refuse(why, piece, "temperature", "must be 0 to 2");
    }
    return FAIL_NONE;
}

static enum fail check_bounds(const struct form_piece *piece, struct fault *why)
{
    if (piece->kind == FORM_DATE) {
        if (!text_in(piece->min, 10, 10) || !form_date_is_real(piece->min)) {
            return refuse(why, piece, "min", "must be a day, YYYY-MM-DD");
        }
        if (!text_in(piece->max, 10, 10) || !form_date_is_real(piece->max) ||
            strcmp(piece->min, piece->max) > 0) {
            return refuse(why, piece, "max", "must be a day, YYYY-MM-DD, not before min");
        }
        return FAIL_NONE;
    }
    int64_t min = 0;
    int64_t max = 0;
    if (piece->decimals > 6) {
        return refuse(why, piece, "decimals", "must be 0 to 6");
    }
    if (piece->min == NULL || !form_number_scale(piece->min, piece->decimals, &min)) {
        return refuse(why, piece, "min", "must be a decimal number of at most 15 digits");
    }
    if (piece->max == NULL || !form_number_scale(piece->max, piece->decimals, &max) || max < min) {
        return refuse(why, piece, "max",
                      "must be a decimal number of at most 15 digits, not below min");
    }
    return FAIL_NONE;
}

static enum fail check_piece(const struct form_plan *plan, const struct form_piece *piece,
                             struct fault *why)
{
    if (piece->kind == FORM_LITERAL) {
        return text_in(piece->text, 1, FORM_LITERAL_BYTES_MAX)
                   ? FAIL_NONE
                   : refuse(why, piece, "text", "must have 1 to 4096 bytes of UTF-8");
    }
    enum fail failed = check_name(plan, piece, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    switch (piece->kind) {
    case FORM_CHOICE:
    case FORM_BOOLEAN:
        return check_labels(piece, why);
    case FORM_TEXT:
        return check_text(piece, why);
    case FORM_NUMBER:
    case FORM_DATE:
        return check_bounds(piece, why);
    case FORM_LITERAL:
    case FORM_KIND_COUNT:
        break;
    }
    return FAIL_NONE;
}

static const char *const *dup_list(struct arena *arena, const char *const *list, size_t n)
{
    const char **copy = arena_alloc(arena, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = arena_dup_str(arena, list[i]);
    }
    return copy;
}

static const char *dup_or_null(struct arena *arena, const char *s)
{
    return s == NULL ? NULL : arena_dup_str(arena, s);
}

enum fail form_plan_add(struct form_plan *plan, const struct form_piece *given, struct fault *why)
{
    ASSERT(given->kind < FORM_KIND_COUNT);
    struct form_piece piece = *given;
    if (plan->n_pieces == FORM_PIECES_MAX) {
        return FAULT(why, FAIL_BAD_REQUEST, "form with more than %d pieces", FORM_PIECES_MAX);
    }
    if (piece.kind == FORM_BOOLEAN) {
        piece.labels = boolean_labels;
        piece.n_labels = COUNT_OF(boolean_labels);
    }
    bool scored = piece.kind == FORM_CHOICE || piece.kind == FORM_BOOLEAN;
    if (scored && piece.temperature == 0) {
        piece.temperature = 1;
    }
    enum fail failed = check_piece(plan, &piece, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    piece.name = dup_or_null(plan->arena, piece.name);
    piece.text = dup_or_null(plan->arena, piece.text);
    piece.min = dup_or_null(plan->arena, piece.min);
    piece.max = dup_or_null(plan->arena, piece.max);
    piece.labels = dup_list(plan->arena, piece.labels, piece.n_labels);
    piece.stops = dup_list(plan->arena, piece.stops, piece.n_stops);
    plan->pieces[plan->n_pieces++] = piece;
    return FAIL_NONE;
}

/* From JSON. */

static enum fail read_list(const json_t *object, const char *key, size_t max,
                           const char *out[], size_t *n, struct fault *why)
{
    json_t *array = NULL;
    enum fail failed = jn_array(object, key, false, max, &array, why);
    if (failed != FAIL_NONE || array == NULL) {
        return failed;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_string(item)) {
            (void)FAULT(why, FAIL_BAD_REQUEST, "form piece: %s must hold strings", key);
            return fail_param(why, key);
        }
        out[(*n)++] = json_string_value(item);
    }
    return FAIL_NONE;
}

static enum fail read_members(const json_t *object, struct form_piece *piece,
                              const char *labels[], const char *stops[], struct fault *why)
{
    int64_t max_chars = 0;
    int64_t decimals = 0;
    enum fail failed = jn_str(object, "name", false, FORM_NAME_BYTES_MAX, &piece->name, why);
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "text", false, FORM_LITERAL_BYTES_MAX, &piece->text, why);
    }
    if (failed == FAIL_NONE) {
        failed = read_list(object, "labels", FORM_LABELS_MAX, labels, &piece->n_labels, why);
    }
    if (failed == FAIL_NONE) {
        failed = read_list(object, "stop", FORM_STOPS_MAX, stops, &piece->n_stops, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_real(object, "gamma", false, 0, 1, &piece->gamma, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_real(object, "temperature", false, 0, 20, &piece->temperature, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_int(object, "max_chars", false, 1, FORM_CHARS_MAX, &max_chars, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_bool(object, "single_line", false, &piece->single_line, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_bool(object, "mass", false, &piece->mass, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "min", false, 24, &piece->min, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "max", false, 24, &piece->max, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_int(object, "decimals", false, 0, 6, &decimals, why);
    }
    piece->labels = labels;
    piece->stops = stops;
    piece->max_chars = (unsigned)max_chars;
    piece->decimals = (unsigned)decimals;
    return failed;
}

static const char *const *keys_of(enum form_kind kind)
{
    static const char *const literal[] = {"kind", "text", NULL};
    static const char *const choice[] = {"kind",  "name",        "labels",
                                         "gamma", "temperature", "mass",   NULL};
    static const char *const text[] = {"kind", "name",        "max_chars",
                                       "stop", "single_line", "temperature", NULL};
    static const char *const number[] = {"kind", "name", "min", "max", "decimals", NULL};
    static const char *const date[] = {"kind", "name", "min", "max", NULL};
    static const char *const boolean[] = {"kind", "name", "gamma", "temperature", NULL};
    static const char *const *const all[FORM_KIND_COUNT] = {literal, choice, text,
                                                            number,  date,   boolean};
    return all[kind];
}

static enum fail read_piece(struct form_plan *plan, const json_t *object, struct fault *why)
{
    const char *word = NULL;
    enum fail failed = jn_str(object, "kind", true, 16, &word, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    struct form_piece piece = {.kind = FORM_KIND_COUNT};
    for (int i = 0; i < FORM_KIND_COUNT; i++) {
        if (strcmp(word, kind_names[i]) == 0) {
            piece.kind = (enum form_kind)i;
        }
    }
    if (piece.kind == FORM_KIND_COUNT) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "form piece of unknown kind");
        return fail_param(why, "kind");
    }
    if (piece.kind == FORM_CHOICE || piece.kind == FORM_BOOLEAN) {
        piece.gamma = DEFAULT_GAMMA;
    }
    const char *labels[FORM_LABELS_MAX];
    const char *stops[FORM_STOPS_MAX];
    failed = jn_only(object, keys_of(piece.kind), why);
    if (failed == FAIL_NONE) {
        failed = read_members(object, &piece, labels, stops, why);
    }
    return failed == FAIL_NONE ? form_plan_add(plan, &piece, why) : failed;
}

enum fail form_plan_read(const json_t *array, struct form_plan **out, struct fault *why)
{
    *out = NULL;
    if (!json_is_array(array) || json_array_size(array) == 0 ||
        json_array_size(array) > FORM_PIECES_MAX) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "plan must be an array of 1 to %d pieces",
                    FORM_PIECES_MAX);
        return fail_param(why, "plan");
    }
    struct form_plan *plan = form_plan_new();
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        enum fail failed = json_is_object(item)
                               ? read_piece(plan, item, why)
                               : FAULT(why, FAIL_BAD_REQUEST, "form piece %zu is no object", i);
        if (failed != FAIL_NONE) {
            form_plan_free(plan);
            return failed;
        }
    }
    *out = plan;
    return FAIL_NONE;
}

/* To JSON. */

static void write_list(struct jn_writer *writer, const char *key, const char *const *list, size_t n)
{
    jn_key(writer, key);
    jn_array_begin(writer);
    for (size_t i = 0; i < n; i++) {
        jn_put_str(writer, list[i]);
    }
    jn_array_end(writer);
}

static void write_piece(struct jn_writer *writer, const struct form_piece *piece)
{
    jn_object_begin(writer);
    jn_kv_str(writer, "kind", form_kind_name(piece->kind));
    if (piece->name != NULL) {
        jn_kv_str(writer, "name", piece->name);
    }
    switch (piece->kind) {
    case FORM_LITERAL:
        jn_kv_str(writer, "text", piece->text);
        break;
    case FORM_CHOICE:
        write_list(writer, "labels", piece->labels, piece->n_labels);
        __attribute__((fallthrough));
    case FORM_BOOLEAN:
        jn_kv_real(writer, "gamma", piece->gamma, 4);
        jn_kv_real(writer, "temperature", piece->temperature, 4);
        if (piece->mass) {
            jn_kv_bool(writer, "mass", true);
        }
        break;
    case FORM_TEXT:
        jn_kv_int(writer, "max_chars", piece->max_chars);
        write_list(writer, "stop", piece->stops, piece->n_stops);
        jn_kv_bool(writer, "single_line", piece->single_line);
        jn_kv_real(writer, "temperature", piece->temperature, 4);
        break;
    case FORM_NUMBER:
        jn_kv_int(writer, "decimals", piece->decimals);
        __attribute__((fallthrough));
    case FORM_DATE:
        jn_kv_str(writer, "min", piece->min);
        jn_kv_str(writer, "max", piece->max);
        break;
    case FORM_KIND_COUNT:
        break;
    }
    jn_object_end(writer);
}

void form_plan_write(struct jn_writer *writer, const struct form_plan *plan)
{
    jn_array_begin(writer);
    for (size_t i = 0; i < plan->n_pieces; i++) {
        write_piece(writer, &plan->pieces[i]);
    }
    jn_array_end(writer);
}
