/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tagger: a linear model over hashed features says for each word whether it is part of a name,
 * a place, an address, an organisation, a date, an age, a group of people, a title or a code.
 *
 * Owns: the shipped weights, compiled in (tagger.weights; docs/reference/guard.md says what they
 * were trained on). Threads: a model is read-only. Limits: windows of WINDOW tokens; time is
 * linear.
 */
#include "trust/guard/guard_internal.h"
#include "trust/guard/tagger_internal.h"

#include <string.h>

#define WINDOW 256
#define ORDINARY (1u << 7) /* of tag_listed */

static const enum guard_kind kinds[TAG_LABELS] = {
    [TAG_NONE] = GUARD_KIND_COUNT, [TAG_NAME] = GUARD_KIND_NAME, [TAG_PLACE] = GUARD_KIND_PLACE,
    [TAG_ADDRESS] = GUARD_KIND_ADDRESS, [TAG_ORGANIZATION] = GUARD_KIND_ORGANIZATION,
    [TAG_DATE] = GUARD_KIND_DATE, [TAG_AGE] = GUARD_KIND_AGE, [TAG_GROUP] = GUARD_KIND_GROUP,
    [TAG_TITLE] = GUARD_KIND_TITLE, [TAG_CODE] = GUARD_KIND_CODE,
};

enum guard_kind tag_kind(enum tag_label l)
{
    return kinds[l];
}

enum tag_label tag_label_of(enum guard_kind k)
{
    for (int i = 1; i < TAG_LABELS; i++) {
        if (kinds[i] == k) {
            return (enum tag_label)i;
        }
    }
    return TAG_CODE;
}

static enum tag_label best(const struct guard_tagger *m, int lead, const struct tag_token *t)
{
    uint32_t f[TAG_FEATURES];
    int16_t sum[TAG_STRIDE] = {0};
    size_t n = tag_features(t, f);
    for (size_t i = 0; i < n; i++) {
        const int8_t *w = m->weights[f[i]];
        for (int k = 0; k < TAG_STRIDE; k++) {
            sum[k] = (int16_t)(sum[k] + w[k]);
        }
    }
    int top = 1;
    for (int k = 2; k < TAG_LABELS; k++) {
        top = sum[k] > sum[top] ? k : top;
    }
    return sum[top] > sum[TAG_NONE] - lead ? (enum tag_label)top : TAG_NONE;
}

/* ---- from words to stretches ---- */

struct joining {
    struct guard_findings *out;
    uint32_t wanted;
    enum tag_label label; /* of the open stretch */
    size_t from, to;
    size_t gap; /* punctuation since its last word */
    bool shown; /* one of its words is capitalised, a number, or on the list of its kind */
    bool digit;
    int words;
};

static void close_stretch(struct joining *j)
{
    enum guard_kind k = kinds[j->label];
    /* a place is an address only with a number, where places are not asked for */
    bool good = j->label != TAG_ADDRESS || (j->digit && j->words > 1) ||
                (j->wanted & GUARD_BIT(GUARD_KIND_PLACE)) != 0;
    if (j->label != TAG_NONE && good && j->shown && (j->wanted & GUARD_BIT(k)) != 0) {
        guard_findings_add(j->out, k, j->from, j->to, "words");
    }
    j->label = TAG_NONE;
}

/* Unknown words in small letters are many, and names hardly ever. */
static bool is_shown(const struct tag_token *t, enum tag_label l)
{
    static const uint32_t lists[TAG_LABELS] = {
        [TAG_NAME] = 1u << 0, [TAG_PLACE] = 1u << 1, [TAG_GROUP] = 1u << 2, [TAG_ADDRESS] = 1u << 3,
        [TAG_ORGANIZATION] = 1u << 4, [TAG_TITLE] = 1u << 5, [TAG_DATE] = 1u << 6,
    };
    bool ordinary = (t->listed & ORDINARY) != 0;
    if (l == TAG_CODE) {
        return t->digit && t->to - t->from >= 4;
    }
    return (t->marked && !ordinary) || (t->listed & lists[l]) != 0;
}

static void take(struct joining *j, const struct tag_token *t, enum tag_label l)
{
    if (!t->letters) {
        if (j->label != TAG_NONE && ++j->gap > 2) {
            close_stretch(j);
        }
        return;
    }
    if (l != j->label || (t->line && l != TAG_ADDRESS)) {
        close_stretch(j);
    }
    if (l != TAG_NONE && j->label == TAG_NONE) {
        *j = (struct joining){j->out, j->wanted, l, t->from, t->to, 0, false, false, 0};
    }
    j->words += l != TAG_NONE ? 1 : 0;
    j->digit = j->digit || (l != TAG_NONE && t->digit);
    j->shown = j->shown || (l != TAG_NONE && is_shown(t, l));
    j->to = l != TAG_NONE ? t->to : j->to;
    j->gap = 0;
}

void guard_tag(const struct guard_tagger *m, const char *text, size_t n, uint32_t wanted,
               struct guard_findings *out)
{
    struct tag_token t[TAG_REACH + WINDOW + TAG_REACH];
    struct joining j = {.out = out, .wanted = wanted};
    /* Who is named is asked to replace words in texts that go on to be read: be surer of it. */
    int lead = (wanted & ~GUARD_TAGGED_WHO) != 0 ? m->lead : m->lead / 2;
    size_t at = 0;
    memset(t, 0, sizeof(t[0]) * TAG_REACH);
    size_t have = tag_tokens(text, n, &at, t + TAG_REACH, WINDOW + TAG_REACH);
    while (have > 0) {
        bool more = have > WINDOW;
        size_t now = more ? WINDOW : have;
        if (have < WINDOW + TAG_REACH) {
            memset(t + TAG_REACH + have, 0, sizeof(t[0]) * (WINDOW + TAG_REACH - have));
        }
        for (size_t i = 0; i < now; i++) {
            const struct tag_token *one = &t[TAG_REACH + i];
            take(&j, one, one->letters ? best(m, lead, one) : TAG_NONE);
        }
        size_t left = have - now;
        memmove(t, t + now, sizeof(t[0]) * (TAG_REACH + left));
        have = left + tag_tokens(text, n, &at, t + TAG_REACH + left, WINDOW + TAG_REACH - left);
        if (!more) {
            break;
        }
    }
    close_stretch(&j);
}
