/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: scoring a choice. The labels' tokens form a trie; where it branches, the
 * model's logits of the children are normalised among themselves, and a label has the product along
 * its path. Stretches without a branch cost nothing, so most choices need the logits already at
 * hand and one more pass. Branches are sequences forked from the task's; the winner's becomes the
 * task's own. Stretches of labels that cannot win and have next to no probability are not read to
 * their ends. A label that is the start of another ends with the token that follows the hole.
 * Owns: the trie and the branches during one choice. Threads: one. Limits: the plan's labels;
 * sequences as they come free.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>
#include <string.h>

/* A stretch of labels is left unread when none of them can come to this part of the best label's
   probability, after correction. */
#define NEGLIGIBLE 0.02
#define TAIL_BYTES 64

/* From the last space on, where there is one within TAIL_BYTES: tokenizers begin a word there. */
static const char *tail_of(const char *before)
{
    size_t len = strlen(before);
    size_t from = len > TAIL_BYTES ? len - TAIL_BYTES : 0;
    for (size_t i = len; i > from; i--) {
        if (before[i - 1] == ' ' && i < len) {
            return before + i - 1;
        }
    }
    return before;
}

enum fail choice_label_tokens(struct llama_engine *e, const char *domain, const char *before,
                              const char *label, struct tokens *out, struct fault *why)
{
    /* As the tokenizer would split it where it stands, if the literal's own tokens stay the
       same. */
    struct tokens alone = {0};
    struct tokens both = {0};
    struct buf text;
    before = tail_of(before);
    buf_init(&text, FORM_LITERAL_BYTES_MAX + FORM_LABEL_BYTES_MAX + 1);
    (void)buf_add_str(&text, before);
    (void)buf_add_str(&text, label);
    enum fail failed = memo_tokenize(e, domain, before, strlen(before), false, &alone, why);
    if (failed == FAIL_NONE) {
        failed = memo_tokenize(e, domain, text.data, text.len, false, &both, why);
    }
    if (failed == FAIL_NONE) {
        bool same = both.n > alone.n &&
                    (alone.n == 0 ||
                     memcmp(both.at, alone.at, (size_t)alone.n * sizeof *alone.at) == 0);
        if (same) {
            tokens_add(out, both.at + alone.n, both.n - alone.n);
        } else {
            failed = memo_tokenize(e, domain, label, strlen(label), false, out, why);
        }
    }
    buf_done(&text);
    tokens_done(&alone);
    tokens_done(&both);
    return failed;
}

/* The trie. */

static int child_with(const struct choice_state *c, int parent, llama_token token)
{
    for (int n = c->nodes[parent].child; n > 0; n = c->nodes[n].sibling) {
        if (c->nodes[n].token == token) {
            return n;
        }
    }
    return 0;
}

static int add_child(struct choice_state *c, int parent, llama_token token)
{
    int n = c->n_nodes++;
    c->nodes = mem_realloc(c->nodes, (size_t)c->n_nodes * sizeof *c->nodes);
    c->nodes[n] = (struct trie_node){.token = token,
                                     .parent = parent,
                                     .sibling = c->nodes[parent].child,
                                     .label = -1,
                                     .depth = c->nodes[parent].depth + 1};
    c->nodes[parent].child = n;
    return n;
}

static enum fail build(struct llama_engine *e, const char *domain, struct choice_state *c,
                       const struct form_piece *piece, const char *before, llama_token after,
                       struct fault *why)
{
    c->nodes = mem_alloc(sizeof *c->nodes);
    c->nodes[0] = (struct trie_node){.label = -1};
    c->n_nodes = 1;
    for (size_t i = 0; i < piece->n_labels; i++) {
        struct tokens list = {0};
        enum fail failed = choice_label_tokens(e, domain, before, piece->labels[i], &list, why);
        int at = 0;
        /* A tokenizer may make more tokens than bytes; paths have room for one a byte. */
        if (failed == FAIL_NONE && list.n > FORM_LABEL_BYTES_MAX) {
            failed = FAULT(why, FAIL_BAD_REQUEST, "choice %s: a label of %d tokens; at most %d",
                           piece->name, list.n, FORM_LABEL_BYTES_MAX);
        }
        for (int k = 0; failed == FAIL_NONE && k < list.n; k++) {
            int next = child_with(c, at, list.at[k]);
            at = next > 0 ? next : add_child(c, at, list.at[k]);
        }
        tokens_done(&list);
        if (failed != FAIL_NONE) {
            return failed;
        }
        if (at == 0 || c->nodes[at].label >= 0) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "choice %s: two labels are the same to this model's tokenizer",
                         piece->name);
        }
        c->nodes[at].label = (int)i;
    }
    int n_real = c->n_nodes;
    for (int n = 1; after >= 0 && n < n_real; n++) {
        if (c->nodes[n].label >= 0 && c->nodes[n].child > 0) {
            int end = child_with(c, n, after);
            if (end == 0) {
                end = add_child(c, n, after);
                c->nodes[end].label = c->nodes[n].label;
                c->nodes[n].label = -1;
            }
            /* Else a longer label goes on with that very token: this one keeps its node's own
               probability shared with it, see expand. */
        }
    }
    return FAIL_NONE;
}

static void merge(struct trie_node *into, const struct trie_node *more)
{
    if (into->n_labels == 0) {
        into->null_min = more->null_min;
        into->null_max = more->null_max;
    } else {
        into->null_min = fmin(into->null_min, more->null_min);
        into->null_max = fmax(into->null_max, more->null_max);
    }
    into->n_labels += more->n_labels;
}

/* Counts labels and finds the range of their null scores; children come after their parents. */
static void sum_up(struct choice_state *c, const double *null_logp)
{
    for (int n = c->n_nodes - 1; n >= 0; n--) {
        struct trie_node *at = &c->nodes[n];
        if (at->label >= 0) {
            double score = null_logp == NULL ? 0 : null_logp[at->label];
            struct trie_node own = {.n_labels = 1, .null_min = score, .null_max = score};
            merge(at, &own);
        }
        if (n > 0) {
            merge(&c->nodes[at->parent], at);
        }
    }
}

void choice_path(const struct choice_state *c, int node, llama_token *out)
{
    for (; node > 0; node = c->nodes[node].parent) {
        out[c->nodes[node].depth - 1] = c->nodes[node].token;
    }
}

/* Scoring. */

static void add_branch(struct llama_engine *e, struct task *t, int node, int from_seq,
                       int from_done)
{
    struct choice_state *c = &t->choice;
    struct branch b = {.node = node, .seq = -1, .depth = c->nodes[node].depth, .out = -1};
    if (from_seq >= 0) {
        b.seq = engine_seq_take(e);
        if (b.seq >= 0) {
            llama_memory_seq_cp(llama_get_memory(e->context), from_seq, b.seq, -1, -1);
            b.done = from_done;
        }
    }
    c->branches =
        mem_realloc(c->branches, (size_t)(c->n_branches + 1) * sizeof *c->branches);
    c->branches[c->n_branches++] = b;
}

/* On the scale of the corrected scores, ln p less gamma ln p_null: what a node's labels have at
   most, and what one of them has at least. */
static double most(const struct trie_node *at, double gamma)
{
    return at->logp - gamma * at->null_min;
}

static double least(const struct trie_node *at, double gamma)
{
    return at->logp - log(at->n_labels) - gamma * at->null_max;
}

static bool hopeless(const struct choice_state *c, const struct trie_node *at, double gamma,
                     double temperature)
{
    return most(at, gamma) < c->floor + temperature * log(NEGLIGIBLE);
}

/* A node that is not read further shares its probability as the null prompt would. */
static void share(struct choice_state *c, int node, const double *null_logp)
{
    double total = 0;
    for (int round = 0; round < 2; round++) {
        for (int n = node; n < c->n_nodes; n++) {
            int up = n;
            while (up > node) {
                up = c->nodes[up].parent;
            }
            int label = c->nodes[n].label;
            if (up != node || label < 0) {
                continue;
            }
            double weight = null_logp == NULL ? 0 : null_logp[label] - c->nodes[node].null_max;
            if (round == 0) {
                total += exp(weight);
            } else {
                c->label_logp[label] = c->nodes[node].logp + weight - log(total);
            }
        }
    }
}

/* Down from a node to where the trie branches next, or a label ends. */
static int next_branch(const struct choice_state *c, int node)
{
    while (c->nodes[node].label < 0 && c->nodes[c->nodes[node].child].sibling == 0) {
        node = c->nodes[node].child;
    }
    return node;
}

/* Shares a node's probability among its children, down to the next branches. */
static void expand(struct llama_engine *e, struct task *t, int node, const float *logits, int seq)
{
    struct choice_state *c = &t->choice;
    const struct form_piece *piece = &t->form_ask->plan->pieces[t->form->piece];
    const double *null_logp = form_null_scores(t);
    double gamma = null_logp == NULL ? 0 : piece->gamma;
    float children[FORM_LABELS_MAX + 1];
    int n = 0;
    for (int k = c->nodes[node].child; k > 0; k = c->nodes[k].sibling) {
        children[n++] = logits[c->nodes[k].token];
    }
    double total = sample_logsumexp(children, n);
    double base = c->nodes[node].logp;
    if (c->nodes[node].label >= 0) {
        c->label_logp[c->nodes[node].label] = base + log(0.5);
        base += log(0.5);
    }
    for (int k = c->nodes[node].child; k > 0; k = c->nodes[k].sibling) {
        double logp = base + (double)logits[c->nodes[k].token] - total;
        int down = next_branch(c, k);
        c->nodes[k].logp = c->nodes[down].logp = logp;
        c->floor = fmax(c->floor, least(&c->nodes[down], gamma));
    }
    for (int k = c->nodes[node].child; k > 0; k = c->nodes[k].sibling) {
        int down = next_branch(c, k);
        if (c->nodes[down].child == 0) {
            c->label_logp[c->nodes[down].label] = c->nodes[down].logp;
        } else if (!t->form->is_null &&
                   hopeless(c, &c->nodes[down], gamma, piece->temperature)) {
            /* A null run reads everything: others are corrected by it. */
            share(c, down, null_logp);
        } else {
            add_branch(e, t, down, seq, c->nodes[node].depth);
        }
    }
}

static void finish_if_done(struct llama_engine *e, struct task *t)
{
    struct choice_state *c = &t->choice;
    if (c->n_branches > 0) {
        return;
    }
    double *logp = STEAL(c->label_logp);
    form_choice_scored(e, t, logp);
    mem_free(logp);
}

void choice_begin(struct llama_engine *e, struct task *t, const struct form_piece *piece,
                  const char *before, llama_token after, const float *logits)
{
    struct choice_state *c = &t->choice;
    struct fault why = {0};
    *c = (struct choice_state){
        .active = true, .n_labels = (int)piece->n_labels, .floor = -INFINITY};
    c->label_logp = mem_alloc_array(piece->n_labels, sizeof *c->label_logp);
    if (build(e, t->domain, c, piece, before, after, &why) != FAIL_NONE) {
        task_fail(e, t, &why);
        return;
    }
    sum_up(c, form_null_scores(t));
    int root = next_branch(c, 0); /* what all labels begin with */
    if (root == 0) {
        expand(e, t, 0, logits, t->seq);
    } else {
        add_branch(e, t, root, t->seq, 0);
    }
    finish_if_done(e, t);
}

static void drop_kept(struct llama_engine *e, struct choice_state *c)
{
    for (int i = 0; i < c->n_kept; i++) {
        engine_seq_drop(e, c->kept[i].seq);
    }
    mem_free(c->kept);
    c->kept = NULL;
    c->n_kept = 0;
}

/* Sequences are few: kept ones must not hold up the branches of others. */
static void keep(struct llama_engine *e, struct choice_state *c, int node, int seq)
{
    if (e->n_seq_used > ENGINE_SEQ_MAX / 2) {
        engine_seq_drop(e, seq);
        return;
    }
    c->kept = mem_realloc(c->kept, (size_t)(c->n_kept + 1) * sizeof *c->kept);
    c->kept[c->n_kept++] = (struct kept_branch){.node = node, .seq = seq};
}

void choice_activate(struct llama_engine *e, struct task *t)
{
    struct choice_state *c = &t->choice;
    for (int i = 0; i < c->n_branches; i++) {
        struct branch *b = &c->branches[i];
        if (b->seq >= 0) {
            continue;
        }
        b->seq = engine_seq_take(e);
        if (b->seq < 0 && c->n_kept > 0) {
            drop_kept(e, c);
            b->seq = engine_seq_take(e);
        }
        if (b->seq < 0) {
            return;
        }
        llama_memory_seq_cp(llama_get_memory(e->context), t->seq, b->seq, -1, -1);
        b->done = 0;
    }
}

void choice_advance(struct llama_engine *e, struct task *t)
{
    struct choice_state *c = &t->choice;
    int n = c->n_branches; /* those added meanwhile have no logits yet */
    for (int i = 0; i < n; i++) {
        struct branch b = c->branches[i];
        if (b.out < 0 || b.done < b.depth) {
            continue;
        }
        const float *logits = llama_get_logits_ith(e->context, b.out);
        ASSERT(logits != NULL);
        expand(e, t, b.node, logits, b.seq);
        keep(e, c, b.node, b.seq);
        c->branches[i].seq = -2; /* evaluated */
    }
    int kept = 0;
    for (int i = 0; i < c->n_branches; i++) {
        if (c->branches[i].seq != -2) {
            c->branches[kept++] = c->branches[i];
        }
    }
    c->n_branches = kept;
    finish_if_done(e, t);
}

void choice_adopt(struct llama_engine *e, struct task *t, int label)
{
    const struct choice_state *c = &t->choice;
    int leaf = c->n_nodes - 1;
    while (leaf > 0 && c->nodes[leaf].label != label) {
        leaf--;
    }
    const struct kept_branch *best = NULL;
    for (int i = 0; i < c->n_kept; i++) {
        int node = leaf;
        while (node > c->kept[i].node) {
            node = c->nodes[node].parent;
        }
        bool above = node == c->kept[i].node;
        if (above && (best == NULL || c->nodes[best->node].depth < c->nodes[node].depth)) {
            best = &c->kept[i];
        }
    }
    int depth = best == NULL ? 0 : c->nodes[best->node].depth;
    if (depth == 0 || t->n_past + depth > t->tokens.n) {
        return;
    }
    llama_memory_seq_cp(llama_get_memory(e->context), best->seq, t->seq, t->n_past,
                        t->n_past + depth);
    t->n_past += depth;
}

void choice_free(struct llama_engine *e, struct task *t)
{
    struct choice_state *c = &t->choice;
    drop_kept(e, c);
    for (int i = 0; i < c->n_branches; i++) {
        if (c->branches[i].seq >= 0) {
            engine_seq_drop(e, c->branches[i].seq);
        }
    }
    mem_free(c->branches);
    mem_free(c->nodes);
    mem_free(c->label_logp);
    *c = (struct choice_state){0};
}
