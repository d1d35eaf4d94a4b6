/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: what forms ask for again and again, tokenised and rendered once: labels,
 * literals, the template around the input. Never the input itself, and never for another domain: a
 * shared memo would tell by its speed what others have asked.
 * Owns: both tables. Threads: one. Limits: MEMO_TEXTS texts of at most MEMO_BYTES each, MEMO_CHATS
 * rendered chats; a new one takes the place of an old one with the same hash, or the oldest.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#define MEMO_TEXTS 2048 /* a power of two */
#define MEMO_BYTES 16384
#define MEMO_CHATS 16
#define DOMAIN_ROOM 256 /* more than any domain has */

struct memo_text {
    char *key;
    size_t key_len;
    struct tokens tokens;
};

struct memo_chat {
    char *domain;
    char *request;
    char *text;
    uint64_t used;
};

struct memo {
    struct memo_text texts[MEMO_TEXTS];
    struct memo_chat chats[MEMO_CHATS];
    uint64_t used;
};

static struct memo *memo_of(struct llama_engine *e)
{
    if (e->memo == NULL) {
        e->memo = mem_alloc(sizeof *e->memo);
    }
    return e->memo;
}

void memo_free(struct llama_engine *e)
{
    for (int i = 0; e->memo != NULL && i < MEMO_TEXTS; i++) {
        mem_free(e->memo->texts[i].key);
        tokens_done(&e->memo->texts[i].tokens);
    }
    for (int i = 0; e->memo != NULL && i < MEMO_CHATS; i++) {
        mem_free(e->memo->chats[i].domain);
        mem_free(e->memo->chats[i].request);
        mem_free(e->memo->chats[i].text);
    }
    mem_free(e->memo);
    e->memo = NULL;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo). A collision costs a tokenisation: keys are compared. */
static uint64_t hash_of(const char *bytes, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

enum fail memo_tokenize(struct llama_engine *e, const char *domain, const char *text, size_t len,
                        bool special, struct tokens *out, struct fault *why)
{
    if (len > MEMO_BYTES) {
        return engine_tokenize(e, text, len, special, out, why);
    }
    struct buf key;
    buf_init(&key, MEMO_BYTES + DOMAIN_ROOM + 8);
    (void)buf_printf(&key, "%s%c%d", domain, 1, special);
    (void)buf_add(&key, text, len);
    struct memo_text *slot = &memo_of(e)->texts[hash_of(key.data, key.len) % MEMO_TEXTS];
    if (slot->key_len == key.len && slot->key != NULL &&
        memcmp(slot->key, key.data, key.len) == 0) {
        tokens_add(out, slot->tokens.at, slot->tokens.n);
        buf_done(&key);
        return FAIL_NONE;
    }
    struct tokens fresh = {0};
    enum fail failed = engine_tokenize(e, text, len, special, &fresh, why);
    if (failed != FAIL_NONE || key.overflow) {
        tokens_add(out, fresh.at, fresh.n);
        tokens_done(&fresh);
        buf_done(&key);
        return failed;
    }
    tokens_add(out, fresh.at, fresh.n);
    mem_free(slot->key);
    tokens_done(&slot->tokens);
    slot->key_len = key.len;
    slot->key = buf_take(&key);
    slot->tokens = fresh;
    return FAIL_NONE;
}

enum fail memo_render(struct llama_engine *e, const char *domain, const char *request,
                      const char **text, struct fault *why)
{
    struct memo *m = memo_of(e);
    struct memo_chat *oldest = &m->chats[0];
    for (int i = 0; i < MEMO_CHATS; i++) {
        struct memo_chat *c = &m->chats[i];
        if (c->request != NULL && strcmp(c->request, request) == 0 &&
            strcmp(c->domain, domain) == 0) {
            c->used = ++m->used;
            *text = c->text;
            return FAIL_NONE;
        }
        oldest = c->used < oldest->used ? c : oldest;
    }
    struct shim_prompt *prompt = NULL;
    enum fail failed = shim_chat_render(e->chat, request, &prompt, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    mem_free(oldest->domain);
    mem_free(oldest->request);
    mem_free(oldest->text);
    *oldest = (struct memo_chat){.domain = mem_dup_str(domain),
                                 .request = mem_dup_str(request),
                                 .text = mem_dup_str(shim_prompt_text(prompt)),
                                 .used = ++m->used};
    shim_prompt_close(prompt);
    *text = oldest->text;
    return FAIL_NONE;
}
