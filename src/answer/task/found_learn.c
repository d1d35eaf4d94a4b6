/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learning's heads of fields whose values are found in the text: the examples as extraction takes
 * them, and what the head may do.
 * Owns: nothing. Threads: crunch.
 */
#include <string.h>

#include "answer/task/learn_job_internal.h"
#include "base/clock/clock.h"

/* Dates of an example are read from when it was written, in UTC; of one without a time from now. */
static struct extract_scene scene_of(const struct task_example *x)
{
    int64_t at = 0;
    bool known = x->at != NULL && clock_read(x->at, &at);
    return (struct extract_scene){.now = (known ? at : clock_now_us()) / 1000000};
}

/* The proof must hold for the values that are answered, as well as for all answers: texts that have
   none are easy, and would pay for wrong values. The stricter of the two becomes the
   certificate. */
static void prove(struct learn_job *j, size_t field, const struct extract_report *r)
{
    double *score = mem_alloc_array(r->n, sizeof(*score));
    bool *right = mem_alloc_array(r->n, sizeof(*right));
    struct certify_result *proof = &j->proof[field][LADDER_LEARNED];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        score[i] = (double)r->oof[i].confidence;
        right[i] = r->oof[i].right;
    }
    learn_job_prove(j, field, LADDER_LEARNED, score, right, r->n);
    const struct certify_result all = *proof;
    for (size_t i = 0; i < r->n; i++) {
        if (r->oof[i].answered) {
            score[n] = (double)r->oof[i].confidence;
            right[n++] = r->oof[i].right;
        }
    }
    learn_job_prove(j, field, LADDER_LEARNED, score, right, n);
    if (!all.certified || (proof->certified && proof->threshold < all.threshold)) {
        struct ladder_evidence *e = &j->evidence[field][LADDER_LEARNED];
        *proof = all;
        e->threshold = all.certified ? all.threshold : LADDER_UNCERTIFIED;
        e->coverage = all.certified ? (double)all.accepted / (double)r->n : 0;
    }
    mem_free(score);
    mem_free(right);
}

static enum fail train(struct learn_job *j, size_t field, const struct extract_example *ex,
                       size_t n, const struct learn_progress *progress, struct fault *why)
{
    const struct ladder_field *f = &j->form->fields[field];
    struct extract_options o = extract_defaults(ladder_type_kind(f->type));
    struct extract_report *r = &j->found[field];
    uint8_t hash[32];
    o.target_error = f->target_error;
    o.delta = j->delta;
    enum fail failed = extract_train(ex, n, &o, progress, &j->heads->found[field], r, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    j->trained_found[field] = true;
    j->left_out[field] = r->given - r->reachable;
    extract_head_hash(j->heads->found[field], hash);
    text_hex(hash, sizeof(hash), j->heads->release[field]);
    memcpy(j->heads->embed[field], j->embed, sizeof(j->heads->embed[field]));
    j->evidence[field][LADDER_LEARNED] = (struct ladder_evidence){
        .n = (int)r->n, .accuracy = r->accuracy, .slope = 1, .offset = 0, .class = LADDER_HISTORY,
        .threshold = r->certificate.certified ? r->certificate.threshold : LADDER_UNCERTIFIED,
        .coverage = r->certificate.certified ? r->certificate.coverage : 0};
    prove(j, field, r);
    return FAIL_NONE;
}

enum fail found_learn(struct learn_job *j, size_t field, const struct learn_progress *progress,
                      struct fault *why)
{
    struct extract_example *ex = mem_alloc_array(j->n + 1, sizeof(*ex));
    size_t n = 0, given = 0;
    for (size_t i = 0; i < j->n; i++) {
        const char *value = j->examples[i].values[field];
        if (value != NULL) {
            ex[n++] = (struct extract_example){.text = j->inputs[i],
                                               .text_len = strlen(j->inputs[i]), .value = value,
                                               .scene = scene_of(&j->examples[i])};
            given += value[0] != '\0';
        }
    }
    enum fail f = FAIL_NONE;
    if (given > 0) {
        f = train(j, field, ex, n, progress, why);
        if (f == FAIL_BAD_REQUEST) {
            char message[sizeof(why->message)];
            (void)text_copy(message, sizeof(message), why->message);
            (void)FAULT(why, f, "\"%.48s\": %.150s", j->form->fields[field].name, message);
            (void)fail_hint(why, "Give values as they stand in the text, or leave them out of "
                                 "`expected` where the text has none.");
        }
    }
    mem_free(ex);
    return f;
}
