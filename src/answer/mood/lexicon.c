/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexicon: what customers of help desks write when they are cross, worried or glad. Written by
 * hand from general knowledge of both languages, not taken from any list. A '*' at the end of an
 * entry's last word takes any ending. Words that name a problem without saying how somebody feels
 * about it ("broken", "error") weigh little: a calm report of a fault is neutral.
 * Owns: the lists. Threads: read-only.
 */
#include <string.h>

#include "answer/mood/mood_internal.h"
#include "base/mem/mem.h"

struct entry {
    const char *words; /* folded, one space between */
    double weight;
};

static const struct entry english[] = {
    {"angry", -2.5}, {"furious", -3}, {"annoy*", -2}, {"frustrat*", -2.2}, {"irritat*", -1.8},
    {"disappoint*", -2}, {"unacceptable", -2.8}, {"outrag*", -3}, {"ridiculous", -2.5},
    {"disgust*", -2.6}, {"disgrace*", -2.8}, {"scandal*", -2.6}, {"shame*", -1.6},
    {"terribl*", -2.2}, {"horribl*", -2.2}, {"awful*", -2.2}, {"appalling", -2.8},
    {"useless", -2.2}, {"worthless", -2.2}, {"rubbish", -2}, {"worst", -2.4}, {"hate", -2},
    {"fed up", -2.6}, {"sick of", -2.4}, {"tired of", -2}, {"had enough", -2.4},
    {"not amused", -2.4}, {"not good enough", -2.4}, {"not happy", -2.2}, {"unhappy", -2.2},
    {"not impressed", -2}, {"not acceptable", -2.6}, {"dissatisf*", -2.2}, {"complain*", -1.6},
    {"waste of time", -2.2}, {"waste of money", -2.4}, {"wasted", -1.4}, {"rip off", -2.6},
    {"scam*", -2.2}, {"cheat*", -2}, {"lie", -1.4}, {"lying", -2}, {"lied", -2}, {"liar*", -2.4},
    {"incompeten*", -2.6}, {"rude", -2}, {"insult*", -2.2}, {"nonsense", -1.6}, {"joke", -1.2},
    {"pathetic", -2.6}, {"nightmare", -2.2}, {"disaster", -2}, {"poor service", -2.4},
    {"bad service", -2.2}, {"no reply", -1.6}, {"no answer", -1.4}, {"no response", -1.6},
    {"nobody answers", -2}, {"nobody replied", -2}, {"ignored", -1.8}, {"fobbed off", -2.6},
    {"still no", -1.5}, {"still not", -1.2}, {"still waiting", -1.6}, {"yet again", -1.6},
    {"once again", -0.8}, {"second time", -1.2}, {"third time", -1.9}, {"fourth time", -2.2},
    {"second e-mail", -1}, {"how many times", -2.2}, {"last warning", -2.2},
    {"final reminder", -2}, {"last letter", -1.4}, {"immediately", -1}, {"at once", -1},
    {"right now", -0.9}, {"want it now", -1.8}, {"without delay", -1.2}, {"overdue", -1.3},
    {"my money", -1}, {"money back", -0.7}, {"never again", -2.6}, {"how dare", -2.8},
    {"how can you", -1.8}, {"what on earth", -1.6}, {"what the hell", -2.6}, {"damn", -2},
    {"bloody", -1.6}, {"crap*", -2.2}, {"shit*", -2.6}, {"fuck*", -3}, {"wtf", -2.6}, {"ugh", -1.4},
    {"worried", -1.8}, {"worry", -1}, {"afraid", -1}, {"scared", -1.4}, {"anxious", -1.6},
    {"panic*", -1.8}, {"desperate*", -1.8}, {"upset", -2}, {"upsetting", -2}, {"stressed", -1.6},
    {"is it safe", -1.8}, {"dangerous", -1.6}, {"smoke", -1}, {"burning smell", -1.6},
    {"burnt", -0.8}, {"fraud*", -1.6}, {"hacked", -1.6}, {"stolen", -1.5}, {"burgled", -1.4},
    {"sorted out", -0.9}, {"unfortunately", -0.6}, {"sadly", -0.9}, {"lawyer", -1.4},
    {"court", -1.2}, {"sue", -1.5}, {"legal action", -1.8}, {"broken promise*", -2},
    {"you promised", -1.4}, {"promised me", -1}, {"refuse*", -0.9}, {"broken", -0.4},
    {"damaged", -0.4}, {"cracked", -0.5}, {"does not work", -0.4}, {"wrong", -0.3},
    {"unfair", -2}, {"expensive", -0.4}, {"regret*", -1}, {"impossible", -0.8}, {"stop that", -1},
    {"do not want", -0.7}, {"don't want", -0.7}, {"not for me", -0.6}, {"too much", -0.3},
    {"thank you so much", 1.8}, {"thanks so much", 1.6}, {"many thanks for", 1.2},
    {"thank you for the", 1.3}, {"thanks for the", 1.2}, {"thank you for your quick", 2},
    {"love", 2}, {"loved", 2}, {"lovely", 2}, {"great", 1.8}, {"fantastic", 2.6},
    {"wonderful*", 2.6}, {"excellent", 2.4}, {"amazing", 2.4}, {"brilliant", 2.2},
    {"perfect*", 1.8}, {"superb", 2.4}, {"delicious", 2.2}, {"finest", 2.2}, {"best ever", 2.4},
    {"the best", 1.4}, {"happy with", 1.8}, {"very happy", 2.2}, {"delighted", 2.6},
    {"pleased", 2}, {"impressed", 2}, {"enjoy*", 1.4}, {"recommend*", 1.2}, {"praise", 2},
    {"compliment*", 2.2}, {"well done", 2.2}, {"good job", 1.8}, {"good work", 1.8},
    {"keep it up", 2}, {"fast delivery", 1.6}, {"so helpful", 2}, {"very helpful", 2},
    {"friendly", 1.4}, {"grateful", 1.8}, {"appreciate*", 1.2}, {"awesome", 2.2},
    {"beautiful*", 1.2}, {"nice", 0.8}, {"glad", 1}, {"works again", 1.6}, {"solved", 0.9},
};

static const struct entry german[] = {
    {"\xC3\xA4rger*", -2},
    {"ver\xC3\xA4rgert", -2.4},
    {"w\xC3\xBCtend", -2.8},
    {"sauer", -2},
    {"stinksauer", -3},
    {"genervt", -2.2},
    {"nervt", -2},
    {"nervig", -2},
    {"entt\xC3\xA4usch*", -2.2},
    {"unversch\xC3\xA4mt*", -3},
    {"unm\xC3\xB6glich", -1.8},
    {"unglaublich", -1.4},
    {"inakzeptabel", -2.8},
    {"nicht akzeptabel", -2.6},
    {"nicht hinnehmbar", -2.8},
    {"zumutung", -2.6},
    {"frechheit", -3},
    {"sauerei", -3},
    {"skandal*", -2.6},
    {"katastroph*", -2.4},
    {"schrecklich", -2.2},
    {"furchtbar", -2.2},
    {"schlecht*", -1.2},
    {"mies*", -2},
    {"schlimm", -1.6},
    {"schlimmste*", -2.2},
    {"unzufrieden", -2.4},
    {"nicht zufrieden", -2.2},
    {"beschwer*", -2},
    {"reklamier*", -0.8},
    {"saftladen", -3},
    {"abzocke", -2.8},
    {"betrug", -2.2},
    {"betrogen", -2.2},
    {"l\xC3\xBCge*", -2},
    {"gelogen", -2.2},
    {"unfreundlich", -2.2},
    {"unf\xC3\xA4hig", -2.6},
    {"keine antwort", -1.6},
    {"keine reaktion", -1.8},
    {"niemand antwortet", -2},
    {"immer noch nicht", -1.8},
    {"immer noch kein*", -1.8},
    {"noch immer nicht", -1.8},
    {"noch immer kein*", -1.8},
    {"schon wieder", -1.6},
    {"erneut", -0.7},
    {"zum zweiten mal", -1.4},
    {"zum dritten mal", -2.2},
    {"zum wiederholten mal", -2},
    {"zum x ten mal", -2.4},
    {"wie oft", -1.6},
    {"letzte mahnung", -1.8},
    {"sofort", -1},
    {"umgehend", -1},
    {"unverz\xC3\xBCglich", -1.2},
    {"mein geld", -1.1},
    {"nie wieder", -2.8},
    {"was soll das", -2.4},
    {"das kann doch nicht", -2},
    {"es reicht", -2.2},
    {"reicht mir", -2.2},
    {"geduld", -1.2},
    {"sorgen", -1.2},
    {"besorgt", -1.6},
    {"angst", -1.4},
    {"verzweifelt", -2},
    {"panik", -1.8},
    {"gef\xC3\xA4hrlich", -1.6},
    {"rauch", -1},
    {"verbrannt", -1},
    {"leider", -0.5},
    {"schade", -1},
    {"anwalt", -1.4},
    {"klage", -1.4},
    {"gericht", -0.8},
    {"kaputt", -0.4},
    {"besch\xC3\xA4"
     "digt",
     -0.4},
    {"defekt", -0.3},
    {"mist", -1.6},
    {"schei\xC3\x9F*", -2.8},
    {"scheiss*", -2.8},
    {"verdammt", -2.2},
    {"nicht bestellt", -0.7},
    {"stimmt nicht", -0.5},
    {"vielen dank f\xC3\xBCr die", 1.4},
    {"vielen dank f\xC3\xBCr ihre", 1},
    {"herzlichen dank", 1.2},
    {"danke f\xC3\xBCr die", 1.2},
    {"toll*", 1.8},
    {"super", 1.6},
    {"gro\xC3\x9F"
     "artig",
     2.4},
    {"grossartig", 2.4},
    {"wunderbar", 2.4},
    {"klasse", 1.8},
    {"hervorragend", 2.4},
    {"ausgezeichnet", 2.4},
    {"fantastisch", 2.6},
    {"perfekt", 1.8},
    {"begeistert", 2.6},
    {"zufrieden", 1.8},
    {"sehr zufrieden", 2.2},
    {"freue mich", 1.2},
    {"freut mich", 1.4},
    {"lob", 2},
    {"loben", 2},
    {"kompliment", 2.4},
    {"weiter so", 2.4},
    {"lecker", 2},
    {"k\xC3\xB6stlich", 2.2},
    {"liebe ihren", 2},
    {"sch\xC3\xB6n", 0.8},
    {"empfehl*", 1},
    {"hilfsbereit", 1.8},
    {"schnelle lieferung", 1.6},
    {"funktioniert wieder", 1.6},
};

static const char *const turning[] = {"not", "never", "no", "nothing", "hardly", "without",
                                      "don't", "doesn't", "didn't", "isn't", "wasn't", "can't",
                                      "cannot", "won't", "nicht", "nie", "kein", "keine",
                                      "keinen", "keiner", "ohne", "kaum", "niemals"};
static const char *const raising[] = {"very", "so", "really", "absolutely", "extremely", "totally",
                                      "completely", "utterly", "sehr", "so", "absolut",
                                      "wirklich", "extrem", "total", "v\xC3\xB6llig", "echt"};

static bool is_one(const char *const *list, size_t n, const char *folded)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], folded) == 0) {
            return true;
        }
    }
    return false;
}

bool mood_turns(const char *folded)
{
    return is_one(turning, COUNT_OF(turning), folded);
}

bool mood_raises(const char *folded)
{
    return is_one(raising, COUNT_OF(raising), folded);
}

static bool same_word(const char *entry, size_t n, const char *folded)
{
    bool open = n > 0 && entry[n - 1] == '*';
    n -= open ? 1 : 0;
    return strncmp(entry, folded, n) == 0 && (open || folded[n] == '\0');
}

/* How many words the entry takes from the front, 0 when they are not its. */
static size_t takes(const char *entry, const char *const *folded, size_t n)
{
    size_t used = 0;
    while (*entry != '\0') {
        size_t len = strcspn(entry, " ");
        if (used == n || !same_word(entry, len, folded[used])) {
            return 0;
        }
        used++;
        entry += len + (entry[len] == ' ');
    }
    return used;
}

static void look(const struct entry *list, size_t len, const char *const *folded, size_t n,
                 double *weight, size_t *used)
{
    for (size_t i = 0; i < len; i++) {
        size_t got = list[i].words[0] == folded[0][0] ? takes(list[i].words, folded, n) : 0;
        if (got > *used) {
            *used = got;
            *weight = list[i].weight;
        }
    }
}

double mood_weight(const char *const *folded, size_t n, enum knowledge_lang lang, size_t *used)
{
    double weight = 0;
    *used = 0;
    if (n > 0 && lang != KNOWLEDGE_LANG_DE) {
        look(english, COUNT_OF(english), folded, n, &weight, used);
    }
    if (n > 0 && lang != KNOWLEDGE_LANG_EN) {
        look(german, COUNT_OF(german), folded, n, &weight, used);
    }
    return weight;
}
