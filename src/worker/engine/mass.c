/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: how much of the model's probability the labels of a choice have between
 * them. A low mass says that the model would rather have said something else: its shares among the
 * labels then mean little.
 * Owns: nothing. Threads: one. Limits: the plan's labels.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>

#define MASS_MIN 1e-6

double choice_mass(struct llama_engine *e, const struct task *t, const float *logits)
{
    const struct form_plan *plan = t->form_ask->plan;
    size_t at = t->form->piece;
    const struct form_piece *piece = &plan->pieces[at];
    const char *before = at > 0 && plan->pieces[at - 1].text != NULL ? plan->pieces[at - 1].text
                                                                     : "";
    if (!piece->mass) {
        return 0;
    }
    llama_token firsts[FORM_LABELS_MAX];
    int n = 0;
    double mass = 0, total = sample_logsumexp(logits, e->n_vocab);
    for (size_t i = 0; i < piece->n_labels; i++) {
        struct tokens list = {0};
        enum fail failed = choice_label_tokens(e, t->domain, before, piece->labels[i], &list, NULL);
        int k = 0;
        while (failed == FAIL_NONE && list.n > 0 && k < n && firsts[k] != list.at[0]) {
            k++;
        }
        if (failed == FAIL_NONE && list.n > 0 && k == n) {
            firsts[n++] = list.at[0];
            mass += exp((double)logits[list.at[0]] - total);
        }
        tokens_done(&list);
    }
    return mass < MASS_MIN ? MASS_MIN : mass > 1 ? 1 : mass;
}
