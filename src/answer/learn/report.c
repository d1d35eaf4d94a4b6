/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Report: what training found, counted per label, as JSON and as lines for a person.
 *
 * Owns the report's arrays. Threads: pure.
 */
#include "answer/learn/learn_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"

void learn_report_done(struct learn_report *r)
{
    mem_free(r->counts);
    mem_free(r->oof);
    memset(r, 0, sizeof(*r));
}

static void add_confusion(struct learn_report *r, const struct learn_head *h, size_t truth,
                          size_t answered, size_t n)
{
    if (r->n_confusions == LEARN_TOP && n <= r->confusions[LEARN_TOP - 1].n) {
        return;
    }
    size_t i = r->n_confusions < LEARN_TOP ? r->n_confusions++ : LEARN_TOP - 1;
    while (i > 0 && r->confusions[i - 1].n < n) {
        r->confusions[i] = r->confusions[i - 1];
        i--;
    }
    r->confusions[i] = (struct learn_confusion){h->label[truth], h->label[answered], n};
}

void learn_report_count(struct learn_report *r, const struct learn_head *h)
{
    AUTO_FREE uint32_t *pairs = mem_alloc_array(h->labels * h->labels, sizeof(*pairs));
    r->counts = mem_alloc_array(h->labels, sizeof(*r->counts));
    for (size_t i = 0; i < r->n; i++) {
        const struct learn_oof *o = &r->oof[i];
        r->counts[o->truth].n++;
        r->counts[o->answered].predicted++;
        r->counts[o->truth].correct += o->truth == o->answered ? 1 : 0;
        pairs[o->truth * h->labels + o->answered]++;
    }
    double f1 = 0;
    for (size_t k = 0; k < h->labels; k++) {
        struct learn_label_count *c = &r->counts[k];
        c->label = h->label[k];
        r->rare_labels += c->n < 2 ? 1 : 0;
        f1 += c->n + c->predicted == 0
                  ? 0 : 2.0 * (double)c->correct / (double)(c->n + c->predicted);
        for (size_t j = 0; j < h->labels; j++) {
            if (j != k && pairs[k * h->labels + j] > 0) {
                add_confusion(r, h, k, j, pairs[k * h->labels + j]);
            }
        }
    }
    r->macro_f1 = f1 / (double)h->labels;
}

const char *learn_evidence_name(enum learn_evidence e)
{
    return e == LEARN_EVIDENCE_REVIEWED ? "reviewed" : "history";
}

void learn_certificate_json(const struct learn_certificate *c, struct jn_writer *w)
{
    jn_key(w, "certificate");
    jn_object_begin(w);
    jn_kv_bool(w, "certified", c->certified);
    jn_kv_bool(w, "provisional", true); /* measured out of fold, not on reviewed live outcomes */
    jn_kv_real(w, "threshold", c->threshold, 6);
    jn_kv_int(w, "accepted", (int64_t)c->accepted);
    jn_kv_int(w, "errors", (int64_t)c->errors);
    jn_kv_real(w, "coverage", c->coverage, 4);
    jn_kv_real(w, "target_error", c->target, 4);
    jn_kv_real(w, "delta", c->delta, 4);
    jn_kv_int(w, "needed", (int64_t)c->needed);
    jn_object_end(w);
}

static void put_languages(struct jn_writer *w, const struct learn_report *r)
{
    jn_key(w, "languages");
    jn_array_begin(w);
    for (size_t i = 0; i < r->n_languages; i++) {
        const struct learn_language *l = &r->languages[i];
        jn_object_begin(w);
        jn_kv_str(w, "code", l->code);
        jn_kv_int(w, "examples", (int64_t)l->n);
        jn_kv_int(w, "correct", (int64_t)l->correct);
        jn_kv_real(w, "expected", (double)l->expected, 1);
        jn_kv_bool(w, "holds", learn_language_holds(l));
        jn_object_end(w);
    }
    jn_array_end(w);
}

void learn_report_json(const struct learn_report *r, struct buf *out)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "examples", (int64_t)r->n);
    jn_kv_int(&w, "extra", (int64_t)r->extra);
    jn_kv_int(&w, "traffic", (int64_t)r->traffic);
    jn_kv_int(&w, "outside", (int64_t)r->outside);
    jn_kv_real(&w, "refused", r->refuse, 4);
    jn_kv_real(&w, "outside_refused", r->outside_refused, 4);
    jn_kv_int(&w, "labels", (int64_t)r->labels);
    jn_kv_int(&w, "rare_labels", (int64_t)r->rare_labels);
    jn_kv_bool(&w, "embeddings", r->has_embeddings);
    jn_kv_int(&w, "features", (int64_t)r->features);
    jn_kv_str(&w, "evidence", learn_evidence_name(r->evidence));
    jn_kv_real(&w, "accuracy", r->accuracy, 4);
    jn_kv_real(&w, "macro_f1", r->macro_f1, 4);
    jn_kv_real(&w, "ece", r->ece, 4);
    jn_kv_real(&w, "ece_raw", r->ece_raw, 4);
    jn_kv_real(&w, "temperature", r->temperature, 4);
    jn_kv_real(&w, "vote_weight", r->vote_weight, 4);
    jn_kv_real(&w, "shared_rate", r->shared_rate, 4);
    jn_kv_real(&w, "coverage_at_1", r->coverage_at_1, 4);
    jn_kv_real(&w, "coverage_at_2", r->coverage_at_2, 4);
    jn_kv_real(&w, "coverage_at_5", r->coverage_at_5, 4);
    jn_key(&w, "light");
    jn_object_begin(&w);
    jn_kv_real(&w, "threshold", r->light.threshold, 6);
    jn_kv_real(&w, "doubt", r->light.doubt, 4);
    jn_kv_real(&w, "share", r->light.share, 4);
    jn_kv_int(&w, "wrong", (int64_t)r->light.wrong);
    jn_kv_int(&w, "wrong_whole", (int64_t)r->light.wrong_whole);
    jn_object_end(&w);
    learn_certificate_json(&r->certificate, &w);
    put_languages(&w, r);
    jn_key(&w, "per_label");
    jn_array_begin(&w);
    for (size_t k = 0; k < r->labels; k++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "label", r->counts[k].label);
        jn_kv_int(&w, "examples", (int64_t)r->counts[k].n);
        jn_kv_int(&w, "answered", (int64_t)r->counts[k].predicted);
        jn_kv_int(&w, "correct", (int64_t)r->counts[k].correct);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_key(&w, "confusions");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->n_confusions; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "truth", r->confusions[i].truth);
        jn_kv_str(&w, "answered", r->confusions[i].answered);
        jn_kv_int(&w, "n", (int64_t)r->confusions[i].n);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
}

void learn_report_text(const struct learn_report *r, struct buf *out)
{
    const struct learn_certificate *c = &r->certificate;
    buf_printf(out, "%zu examples, %zu labels, %zu n-grams%s; labels from %s\n", r->n, r->labels,
               r->features, r->has_embeddings ? " beside embeddings" : ", no embeddings",
               r->evidence == LEARN_EVIDENCE_REVIEWED ? "reviewed outcomes"
                                                      : "history (unreviewed)");
    buf_printf(out, "accuracy %.1f %%   macro-F1 %.3f   calibration error %.3f (raw %.3f)\n",
               100 * r->accuracy, r->macro_f1, r->ece, r->ece_raw);
    buf_printf(out, "answers %.0f %% at 1 %% error, %.0f %% at 2 %%, %.0f %% at 5 %%\n",
               100 * r->coverage_at_1, 100 * r->coverage_at_2, 100 * r->coverage_at_5);
    if (r->light.share > 0) {
        buf_printf(out, "%.0f %% need no embedding: the n-grams alone are %.1f %% sure or more, "
                   "%zu wrong (with the embedding %zu)\n", 100 * r->light.share,
                   100 * r->light.threshold, r->light.wrong, r->light.wrong_whole);
    }
    if (r->outside > 0) {
        buf_printf(out, "none of these: %.1f %% of %zu such texts refused, with %.1f %% of the "
                   "known ones\n", 100 * r->outside_refused, r->outside, 100 * r->refuse);
    }
    for (size_t i = 0; i < r->n_languages; i++) {
        const struct learn_language *l = &r->languages[i];
        buf_printf(out, "  in %s: %u of %u right%s\n", l->code, l->correct, l->n,
                   learn_language_holds(l) ? "" : "; no evidence yet, a person decides");
    }
    if (c->certified) {
        buf_printf(out, "threshold %.4f: at most %.1f %% error with %.0f %% certainty, answers "
                   "%.0f %% (%zu of %zu, %zu wrong; out of fold, so provisional)\n",
                   c->threshold, 100 * c->target, 100 * (1 - c->delta), 100 * c->coverage,
                   c->accepted, c->n, c->errors);
    } else {
        buf_printf(out, "no threshold holds %.1f %% error: everything goes to a person until at "
                   "least %zu sure answers in a row are right\n", 100 * c->target, c->needed);
    }
    if (r->rare_labels > 0) {
        buf_printf(out, "%zu labels have a single example and cannot be checked\n", r->rare_labels);
    }
    for (size_t i = 0; i < r->n_confusions && i < 5; i++) {
        buf_printf(out, "  %zu x %s answered as %s\n", r->confusions[i].n, r->confusions[i].truth,
                   r->confusions[i].answered);
    }
}
