/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/form, results: written by a worker, read by inhoused against the plan it sent.
 * Owns: the result's arena. Threads: none shared. Limits: one field a hole, texts as long as the
 * plan allows.
 */
#include "run/form/form_internal.h"

#include <math.h>
#include <string.h>

#define RESULT_BYTES_MAX (8u * 1024 * 1024)
#define MS_MAX 1e12
#define TOKENS_MAX ((int64_t)1 << 40)

struct form_result *form_result_new(void)
{
    struct form_result *result = mem_alloc(sizeof *result);
    result->arena = arena_new(RESULT_BYTES_MAX);
    result->fields = arena_alloc(result->arena, FORM_PIECES_MAX * sizeof *result->fields);
    return result;
}

void form_result_free(struct form_result *result)
{
    if (result != NULL) {
        arena_free(result->arena);
        mem_free(result);
    }
}

void form_result_add(struct form_result *result, const struct form_field *field)
{
    ASSERT(result->n_fields < FORM_PIECES_MAX);
    struct form_field *copy = &result->fields[result->n_fields++];
    *copy = *field;
    copy->name = arena_dup_str(result->arena, field->name);
    copy->value = arena_dup_str(result->arena, field->value);
    if (field->n_probs > 0) {
        copy->probs =
            arena_dup(result->arena, field->probs, field->n_probs * sizeof *field->probs);
    }
}

static void write_field(struct jn_writer *writer, const struct form_field *field)
{
    jn_object_begin(writer);
    jn_kv_str(writer, "name", field->name);
    jn_kv_str(writer, "kind", form_kind_name(field->kind));
    jn_kv_str(writer, "value", field->value);
    jn_kv_real(writer, "logprob", field->logprob, 6);
    if (field->n_probs > 0) {
        jn_key(writer, "probs");
        jn_array_begin(writer);
        for (size_t i = 0; i < field->n_probs; i++) {
            jn_put_real(writer, field->probs[i], 6);
        }
        jn_array_end(writer);
    }
    if (field->mass > 0) {
        jn_kv_real(writer, "mass", field->mass, 6);
    }
    if (field->cut) {
        jn_kv_bool(writer, "cut", true);
    }
    jn_object_end(writer);
}

void form_result_write(struct jn_writer *writer, const struct form_result *result)
{
    jn_object_begin(writer);
    jn_key(writer, "fields");
    jn_array_begin(writer);
    for (size_t i = 0; i < result->n_fields; i++) {
        write_field(writer, &result->fields[i]);
    }
    jn_array_end(writer);
    jn_kv_int(writer, "tokens_in", result->tokens_in);
    jn_kv_int(writer, "tokens_cached", result->tokens_cached);
    jn_kv_int(writer, "tokens_out", result->tokens_out);
    jn_kv_real(writer, "ms_queue", result->ms_queue, 3);
    jn_kv_real(writer, "ms_prefill", result->ms_prefill, 3);
    jn_kv_real(writer, "ms_decode", result->ms_decode, 3);
    jn_object_end(writer);
}

static enum fail read_probs(const json_t *object, const struct form_piece *piece,
                            struct form_field *field, double probs[], struct fault *why)
{
    json_t *array = NULL;
    enum fail failed = jn_array(object, "probs", true, piece->n_labels, &array, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    double sum = 0;
    size_t n = json_array_size(array);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        probs[i] = json_is_number(item) ? json_number_value(item) : -1;
        if (!(probs[i] >= 0 && probs[i] <= 1)) {
            return FAULT(why, FAIL_BAD_REQUEST, "field %s: a probability outside 0..1",
                         piece->name);
        }
        sum += probs[i];
    }
    if (n != piece->n_labels || fabs(sum - 1) > 0.01) {
        return FAULT(why, FAIL_BAD_REQUEST, "field %s: probabilities that are not one distribution",
                     piece->name);
    }
    field->probs = probs;
    field->n_probs = n;
    return FAIL_NONE;
}

static enum fail read_field(struct form_result *result, const json_t *object,
                            const struct form_piece *piece, struct fault *why)
{
    static const char *const keys[] = {"name",  "kind", "value", "logprob",
                                       "probs", "mass", "cut",   NULL};
    const char *name = NULL;
    const char *kind = NULL;
    double probs[FORM_LABELS_MAX];
    struct form_field field = {.name = piece->name, .kind = piece->kind};
    enum fail failed = jn_only(object, keys, why);
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "name", true, FORM_NAME_BYTES_MAX, &name, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "kind", true, 16, &kind, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_str(object, "value", true, FORM_CHARS_MAX * 4, &field.value, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_real(object, "logprob", true, -1e9, 0, &field.logprob, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_bool(object, "cut", false, &field.cut, why);
    }
    if (failed == FAIL_NONE && piece->mass) {
        failed = jn_real(object, "mass", false, 0, 1, &field.mass, why);
    }
    if (failed == FAIL_NONE && (strcmp(name, piece->name) != 0 ||
                                strcmp(kind, form_kind_name(piece->kind)) != 0 ||
                                !form_value_fits(piece, field.value))) {
        failed = FAULT(why, FAIL_BAD_REQUEST, "field %s: not a value its form allows", piece->name);
    }
    if (failed == FAIL_NONE && piece->n_labels > 0) {
        failed = read_probs(object, piece, &field, probs, why);
    }
    if (failed == FAIL_NONE) {
        form_result_add(result, &field);
    }
    return failed;
}

static enum fail read_fields(struct form_result *result, const json_t *array,
                             const struct form_plan *plan, struct fault *why)
{
    size_t at = 0;
    for (size_t i = 0; i < plan->n_pieces; i++) {
        if (plan->pieces[i].name == NULL) {
            continue;
        }
        const json_t *item = json_array_get(array, at++);
        enum fail failed =
            json_is_object(item)
                ? read_field(result, item, &plan->pieces[i], why)
                : FAULT(why, FAIL_BAD_REQUEST, "field %s: missing", plan->pieces[i].name);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    return at == json_array_size(array)
               ? FAIL_NONE
               : FAULT(why, FAIL_BAD_REQUEST, "%zu fields for a form of %zu",
                       json_array_size(array), at);
}

static enum fail read_counts(struct form_result *result, const json_t *object, struct fault *why)
{
    struct {
        const char *key;
        int64_t *out;
    } counts[] = {{"tokens_in", &result->tokens_in},
                  {"tokens_cached", &result->tokens_cached},
                  {"tokens_out", &result->tokens_out}};
    struct {
        const char *key;
        double *out;
    } times[] = {{"ms_queue", &result->ms_queue},
                 {"ms_prefill", &result->ms_prefill},
                 {"ms_decode", &result->ms_decode}};
    enum fail failed = FAIL_NONE;
    for (size_t i = 0; i < COUNT_OF(counts) && failed == FAIL_NONE; i++) {
        failed = jn_int(object, counts[i].key, true, 0, TOKENS_MAX, counts[i].out, why);
    }
    for (size_t i = 0; i < COUNT_OF(times) && failed == FAIL_NONE; i++) {
        failed = jn_real(object, times[i].key, true, 0, MS_MAX, times[i].out, why);
    }
    return failed;
}

enum fail form_result_read(const json_t *object, const struct form_plan *plan,
                           struct form_result **out, struct fault *why)
{
    static const char *const keys[] = {"fields",   "tokens_in",  "tokens_cached", "tokens_out",
                                       "ms_queue", "ms_prefill", "ms_decode",     NULL};
    *out = NULL;
    if (!json_is_object(object)) {
        return FAULT(why, FAIL_BAD_REQUEST, "form result is no object");
    }
    struct form_result *result = form_result_new();
    json_t *fields = NULL;
    enum fail failed = jn_only(object, keys, why);
    if (failed == FAIL_NONE) {
        failed = jn_array(object, "fields", true, FORM_PIECES_MAX, &fields, why);
    }
    if (failed == FAIL_NONE) {
        failed = read_counts(result, object, why);
    }
    if (failed == FAIL_NONE) {
        failed = read_fields(result, fields, plan, why);
    }
    if (failed != FAIL_NONE) {
        form_result_free(result);
        return failed;
    }
    *out = result;
    return FAIL_NONE;
}
