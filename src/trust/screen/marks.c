/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks of injection and of harm: patterns over folded text, in English, German, French and
 * Spanish.
 *
 * A pattern asks for the whole act (to set aside, what, whose), never for a word: "ignore this
 * warning" is a customer's. Owns: compiled patterns, made once. Threads: read-only after. Limits:
 * SCREEN_MAX_MARKS; a match is given up after STEPS steps; hidden tag text is read too.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "trust/screen/screen.h"

#define STEPS 200000
#define PIECE ((size_t)512 * 1024)
#define OVERLAP 512

struct pattern {
    const char *rule;
    const char *text;
};

#define SET_ASIDE                                                                                  \
    "(?:ignor(?:e|ing)|disregard|forget|override|bypass|skip|do not (?:follow|obey)|"              \
    "don't (?:follow|obey)|stop following|neglect)"
#define EARLIER "(?:previous|prior|above|earlier|preceding|foregoing|existing|original|initial|" \
                "system|your|former|past|all|any|every|these|those)"
#define ORDERS "(?:instructions?|prompts?|directives?|rules|guidelines|commands?|programming|" \
               "constraints|training|orders|context)"
#define OF_MODEL "(?:system|hidden|secret|initial|original|internal|developer|confidential|" \
                 "pre-?prompt|starting)"

static const struct pattern injections[] = {
    {"override", SET_ASIDE "\\s+(?:\\S+\\s+){0,2}?" EARLIER "\\s+(?:\\S+\\s+){0,4}?" ORDERS "\\b"},
    {"override",
     SET_ASIDE "\\s+(?:everything|anything|all|what(?:ever)?)\\s+(?:(?:you|i|we)\\s+"
               "(?:were|have been|was|had been|said|have|know|were told)|that (?:was|is) "
               "(?:said|written)|(?:said |written )?(?:above|before(?: this| that)?\\b))"},
    {"override", "\\b(?:new|updated|real|actual|revised) (?:system )?instructions?\\s*[:\\-]"},
    {"override", "\\b(?:ignoriere?|vergiss|missachte|ignorieren sie|vergessen sie)\\s+(?:\\S+\\s+)"
                 "{0,3}?(?:anweisung|instruktion|vorgabe|regeln|befehl|prompt)"},
    {"override", "\\b(?:ignorez?|oublie[zs]?|ne tiens? pas compte)\\s+(?:\\S+\\s+){0,4}?"
                 "(?:instructions|consignes|directives)"},
    {"override", "\\b(?:ignora|olvida|ignore|olvide|haz caso omiso)\\s+(?:\\S+\\s+){0,4}?"
                 "(?:instrucciones|indicaciones|ordenes)"},
    {"override", "\\b(?:ignora|dimentica|ignorare)\\s+(?:\\S+\\s+){0,4}?(?:istruzioni)"},
    {"reveal", "\\b(?:reveal|print|show|repeat|output|display|leak|dump|tell me|give me|what (?:is|"
               "are)|write out|disclose|send)\\s+(?:me\\s+)?(?:\\S+\\s+){0,3}?(?:your|the|this)\\s+"
               "(?:\\S+\\s+){0,2}?" OF_MODEL "\\s+(?:prompt|instructions?|message|rules)"},
    {"reveal", "\\brepeat (?:everything|all|the (?:text|words)) (?:above|before)"},
    {"reveal", "\\b(?:zeig|gib|nenn|wiederhol)\\S*\\s+(?:\\S+\\s+){0,3}?(?:system-?prompt|"
               "systemanweisung|deine anweisungen)"},
    {"persona", "\\byou are (?:now|no longer)\\s+(?:an? |in |the )?(?:\\S+\\s+){0,3}?(?:dan\\b|"
                "unrestricted|jailbroken|unfiltered|uncensored|developer mode|root|free from|"
                "not bound|evil|assistant)"},
    {"persona", "\\b(?:act|pretend|behave|respond|answer|roleplay)\\s+(?:\\S+\\s+){0,6}?(?:without|"
                "no|free of) (?:any )?(?:restrictions?|filters?|limits|limitations|guidelines|"
                "rules|censorship|ethic)"},
    {"persona", "\\b(?:enable|enter|activate|switch to|you are in)\\s+(?:\\S+\\s+){0,2}?"
                "(?:developer|debug|god|dan|jailbreak|sudo|admin|maintenance) mode\\b.{0,60}"
                "(?:restrict|filter|instruct|safety|polic)"},
    {"persona", "\\bdo anything now\\b"},
    {"conceal", "\\b(?:do not|don't|never) (?:tell|mention|inform|let|reveal (?:this )?to|show)\\s+"
                "(?:this |it |that )?(?:to )?(?:the |any |your )?(?:user|human|operator|customer|"
                "reader|person|anyone)s?\\b.{0,40}(?:instruction|message|prompt|did|that you|about "
                "this)"},
    {"turn", "<\\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\\|>"},
    {"turn", "\\[/?inst\\]|<</?sys>>|<\\s*/?\\s*system\\s*>|\\[system\\]\\s*[:(#]|"
             "###\\s*(?:system|instruction)s?\\s*[:\\n]"},
    {"turn", "(?:^|\\n)\\s*(?:system|assistant|developer)\\s*:\\s*(?:you|ignore|from now|new)"},
    {"turn", "\\b(?:end|begin|start) of (?:the )?(?:system|user|hidden) (?:prompt|message|input|"
             "instructions)"},
    {"exfiltrate", "\\b(?:send|post|forward|exfiltrate|upload|append|encode|embed|include|leak)\\s+"
                   "(?:\\S+\\s+){0,8}?(?:to|in|into|at|as) (?:an? |the |this )?(?:https?://|url|"
                   "webhook|image link|query string|markdown image)"},
    {"exfiltrate", "!\\[[^\\]]{0,80}\\]\\(https?://[^)\\s]{0,300}[?&=][^)\\s]{0,200}\\{"},
    {"command", "\\b(?:assistant|ai|model|llm|chatbot|bot|agent)[,:]?\\s+(?:you must|must|please|"
                "you should|you will|shall)\\s+(?:\\S+\\s+){0,3}?(?:ignore|disregard|delete|"
                "transfer|refund|approve|execute|run|call|send|forward|close)\\b"},
    {"command",
     "\\b(?:instead|rather),? (?:of (?:\\S+\\s+){1,6})?(?:output|print|say|write|respond|"
     "reply|answer) (?:only |just |with )?(?:the (?:word|phrase|text)|exactly|\")"},
    {"command", "\\b(?:if you are|as) an? (?:ai|llm|language model|assistant|automated system)\\b"
                "[^.]{0,60}\\b(?:must|then|please|should|reply|respond|write|include|ignore)\\b"},
};

#define ME "(?:myself|my life|me)"
static const struct pattern harms[SCREEN_HARM_COUNT][8] = {
    [SCREEN_HARM_SELF_HARM] =
        {
            {"self_harm", "\\b(?:kill(?:ing)?|hurt(?:ing)?|harm(?:ing)?|cut(?:ting)?|hang(?:ing)?) "
                          "myself\\b"},
            {"self_harm", "\\b(?:end|ending|take|taking) my (?:own )?life\\b|\\bsuicid(?:e|al)\\b"},
            {"self_harm", "\\b(?:don't|do not|no longer) want to (?:live|be alive|wake up)\\b|"
                          "\\b(?:want|wish|going|ready) to die\\b|\\bbetter off dead\\b"},
            {"self_harm",
             "\\b(?:mich umbringen|mein leben beenden|selbstmord|suizid|nicht mehr leben|"
             "mir das leben nehmen|bringe mich um|mich umzubringen)\\b"},
            {"self_harm", "\\b(?:me tuer|me suicider|mettre fin a mes jours|en finir avec la vie|"
                          "plus envie de vivre)\\b"},
            {"self_harm", "\\b(?:suicidarme|quitarme la vida|matarme|no quiero vivir)\\b"},
        },
    [SCREEN_HARM_THREAT] =
        {
            {"threat",
             "\\b(?:i'?ll|i will|i'm going to|i am going to|we will|we'll|gonna) (?:\\S+ ){0,2}?"
             "(?:kill|shoot|stab|hurt|beat up|murder|burn down|blow up|bomb|strangle|attack) "
             "(?:you|him|her|them|your|all of|everyone|every|the|somebody|someone)"},
            {"threat", "\\b(?:you|they|he|she)(?: all)? (?:will|are going to|deserve to|should) "
                       "(?:die|bleed|burn)\\b|\\byou(?:'re| are) dead\\b"},
            {"threat", "\\bi know where (?:you|your \\S+) (?:live|lives|work|works|goes)\\b"},
            {"threat",
             "\\b(?:bring|bringe) (?:dich|euch|sie|ihn) um\\b|\\bich (?:werde|will) (?:dich|euch|"
             "sie|ihn) (?:\\S+ )?(?:umbringen|toten|erschiessen|abstechen)\\b|"
             "\\bich weiss,? wo (?:du|ihr|sie) wohn"},
            {"threat", "\\bje vais (?:te|vous|le|la|les) (?:tuer|frapper|bruler)\\b"},
            {"threat", "\\bte voy a (?:matar|pegar|quemar)\\b"},
        },
    [SCREEN_HARM_WEAPON] =
        {
            {"weapon",
             "\\b(?:how (?:do|can|to|would)|instructions?|recipe|steps|teach me|explain|guide)"
             "\\b.{0,40}\\b(?:make|build|construct|assemble|synthesi[sz]e|produce|cook)\\b.{0,30}"
             "\\b(?:(?:pipe |nail |dirty |fertili[sz]er )?bombs?|explosives?|molotov|nerve "
             "(?:gas|agent)|sarin|vx gas|ricin|anthrax|grenades?|ghost guns?|bioweapons?|"
             "chemical weapons?|napalm)\\b"},
            {"weapon",
             "\\b(?:bombe|sprengstoff|sprengsatz|molotowcocktail|nervengas|rohrbombe)\\b.{0,30}"
             "\\b(?:bauen|baut|herstellen|basteln|mischen)\\b"},
            {"weapon",
             "\\b(?:buy|get|order|obtain)\\b.{0,30}\\b(?:illegal|untraceable|unregistered)\\b"
             ".{0,20}\\b(?:guns?|firearms?|weapons?|rifles?)\\b"},
            {"weapon",
             "\\b(?:fabriquer|construire)\\b.{0,20}\\b(?:une bombe|des explosifs|un explosif)"},
            {"weapon", "\\b(?:fabricar|construir|hacer)\\b.{0,20}\\b(?:una bomba|explosivos)\\b"},
        },
};

static pcre2_code *injection_codes[COUNT_OF(injections)];
static pcre2_code *harm_codes[SCREEN_HARM_COUNT][8];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static pcre2_code *compile(const char *text)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *made = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_DOTALL, &code, &at, NULL);
    ASSERT(made != NULL);
    pcre2_jit_compile(made, PCRE2_JIT_COMPLETE); /* only speed */
    return made;
}

static void compile_all(void)
{
    for (size_t i = 0; i < COUNT_OF(injections); i++) {
        injection_codes[i] = compile(injections[i].text);
    }
    for (size_t h = 0; h < SCREEN_HARM_COUNT; h++) {
        for (size_t i = 0; i < 8 && harms[h][i].text != NULL; i++) {
            harm_codes[h][i] = compile(harms[h][i].text);
        }
    }
}

const char *screen_harm_name(enum screen_harm h)
{
    static const char *const names[] = {"self_harm", "threat", "weapon"};
    return h < SCREEN_HARM_COUNT ? names[h] : "";
}

void screen_marks_done(struct screen_marks *m)
{
    mem_free(m->items);
    *m = (struct screen_marks){0};
}

static void add(struct screen_marks *m, const char *rule, size_t from, size_t to)
{
    if (m->n >= SCREEN_MAX_MARKS) {
        return;
    }
    if (m->n == m->room) {
        m->room = m->room == 0 ? 8 : m->room * 2;
        m->items = mem_realloc(m->items, m->room * sizeof(*m->items));
    }
    m->items[m->n++] = (struct screen_mark){rule, from, to};
}

static int by_place(const void *x, const void *y)
{
    const struct screen_mark *a = x;
    const struct screen_mark *b = y;
    return a->from != b->from ? (a->from < b->from ? -1 : 1) : 0;
}

/* All matches of one pattern in a folded piece that begins at `base` of the text. */
static bool find(const struct screen_folded *f, const pcre2_code *code, const char *rule,
                 size_t base, struct screen_marks *out)
{
    bool any = false;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, STEPS);
    for (size_t at = 0; at <= f->n && out->n < SCREEN_MAX_MARKS;) {
        int got = pcre2_match(code, (PCRE2_SPTR)f->text, f->n, at, PCRE2_NO_UTF_CHECK, data,
                              limits);
        if (got < 0) {
            break;
        }
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(data);
        add(out, rule, base + f->origin[v[0]], base + f->origin[v[1]]);
        any = true;
        at = v[1] > v[0] ? v[1] : v[1] + 1;
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return any;
}

/* Text in tag characters, which nobody sees, as the letters it stands for. */
static void hidden_text(const char *text, size_t n, struct screen_marks *out)
{
    struct buf said;
    size_t first = n;
    size_t last = 0;
    buf_init(&said, 65536);
    for (size_t i = 0; i + 3 < n; i++) {
        unsigned char c = (unsigned char)text[i + 2];
        unsigned char d = (unsigned char)text[i + 3];
        if ((unsigned char)text[i] == 0xf3 && (unsigned char)text[i + 1] == 0xa0 &&
            (c == 0x80 || c == 0x81)) {
            buf_add_char(&said, (char)(((c & 1) << 6) | (d & 0x3f)));
            first = i < first ? i : first;
            last = i + 4;
        }
    }
    if (said.len >= 4) {
        add(out, "hidden_text", first, last);
    }
    buf_done(&said);
}

static size_t piece_end(const char *text, size_t n, size_t at)
{
    size_t end = n - at > PIECE ? at + PIECE : n;
    while (end < n && end > at && ((unsigned char)text[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}

void screen_injection(const char *text, size_t n, struct screen_marks *out)
{
    pthread_once(&once, compile_all);
    hidden_text(text, n, out);
    for (size_t at = 0; at < n;) {
        size_t end = piece_end(text, n, at);
        struct screen_folded f;
        if (screen_fold(text + at, end - at, &f)) {
            for (size_t i = 0; i < COUNT_OF(injections); i++) {
                find(&f, injection_codes[i], injections[i].rule, at, out);
            }
        }
        screen_fold_done(&f);
        at = end == n ? n : end - OVERLAP;
        while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80) {
            at++;
        }
    }
    if (out->n > 1) {
        qsort(out->items, out->n, sizeof(*out->items), by_place);
    }
}

unsigned screen_harmful(const char *text, size_t n, struct screen_marks *out)
{
    unsigned found = 0;
    pthread_once(&once, compile_all);
    for (size_t at = 0; at < n;) {
        size_t end = piece_end(text, n, at);
        struct screen_folded f;
        if (screen_fold(text + at, end - at, &f)) {
            for (size_t h = 0; h < SCREEN_HARM_COUNT; h++) {
                for (size_t i = 0; i < 8 && harm_codes[h][i] != NULL; i++) {
                    found |= find(&f, harm_codes[h][i], harms[h][i].rule, at, out) ? 1u << h : 0;
                }
            }
        }
        screen_fold_done(&f);
        at = end == n ? n : end - OVERLAP;
        while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80) {
            at++;
        }
    }
    if (out->n > 1) {
        qsort(out->items, out->n, sizeof(*out->items), by_place);
    }
    return found;
}
