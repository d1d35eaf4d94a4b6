/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexicon of the support check: classes of words, synonyms, opposites, number words, units.
 *
 * Only words of service language stand here, none of a company's own: what is not here and not in
 * the source is refused, so a missing synonym costs a rewrite, never a wrong sentence.
 * Owns: tables built once. Threads: built under pthread_once, then read only.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check_internal.h"

struct class_row {
    unsigned classes;
    enum knowledge_lang lang;
    const char *words;
};

#define EN KNOWLEDGE_LANG_EN
#define DE KNOWLEDGE_LANG_DE

static const struct class_row class_rows[] = {
    {WORD_NEGATION, EN,
     "not no never none nobody nothing neither nor without cannot unable impossible unless don't "
     "doesn't didn't can't "
     "won't isn't aren't wasn't weren't couldn't shouldn't wouldn't mustn't needn't hasn't haven't "
     "dont cant wont nowhere hardly"},
    {WORD_NEGATION, DE,
     "nicht kein keine keinen keinem keiner keines nie niemals nichts niemand niemanden ohne weder "
     "unm\xC3\xB6glich nirgends kaum"},
    {WORD_CAN, EN,
     "can could may might able possible cannot can't couldn't possibly optionally unable "
     "impossible cant"},
    {WORD_CAN, DE,
     "kann kannst k\xC3\xB6nnen k\xC3\xB6nnt k\xC3\xB6nnte k\xC3\xB6nnten darf d\xC3\xBCrfen "
     "m\xC3\xB6glich l\xC3\xA4sst lassen "
     "unm\xC3\xB6glich"},
    {WORD_MUST, EN,
     "must need needs required require requires obliged mandatory necessary mustn't"},
    {WORD_MUST, DE,
     "muss m\xC3\xBCssen m\xC3\xBCsste n\xC3\xB6tig erforderlich notwendig verpflichtet brauchen"},
    {WORD_MAYBE, EN, "may might perhaps maybe possibly probably"},
    {WORD_MAYBE, DE, "vielleicht m\xC3\xB6glicherweise eventuell vermutlich wahrscheinlich"},
    {WORD_ONLY, EN, "only solely exclusively merely"},
    {WORD_ONLY, DE, "nur ausschlie\xC3\x9Flich lediglich blo\xC3\x9F ausschliesslich"},
    {WORD_CONDITION, EN, "if unless until till when whenever provided except while"},
    {WORD_CONDITION, DE,
     "wenn falls sofern solange bis sobald au\xC3\x9F"
     "er ausser"},
    {WORD_JOINT, EN,
     "and but because since so while although though which who that if unless until when then"},
    {WORD_JOINT, DE, "und aber weil denn damit sondern obwohl dass wenn falls sofern sobald dann"},
    {WORD_CALENDAR, EN,
     "january february march april june july august september october november december "
     "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays "
     "thursdays fridays saturdays "
     "sundays"},
    {WORD_CALENDAR, DE,
     "januar februar m\xC3\xA4rz april mai juni juli august september oktober november dezember "
     "montag dienstag mittwoch "
     "donnerstag freitag samstag sonntag sonnabend montags dienstags mittwochs donnerstags "
     "freitags "
     "samstags sonntags"},
    {WORD_LIGHT, EN,
     "receive receives received able also another anyway automatically afterwards already always "
     "away back be been bring "
     "case come comes could "
     "current currently detail directly do does doing done easily else ensure even first following "
     "get gets getting "
     "give gives given go goes going happen happens have having help here however immediately "
     "instead item just kindly "
     "know let lets likewise look make makes making matter mean means moreover note now occur "
     "occurs option otherwise "
     "out people person please possible problem provided question quickly remain remains remember "
     "right see show shows simply "
     "situation so something soon step steps straight sure take takes taking tell thing things "
     "therefore time too try "
     "trying use used uses using usually via want way well whenever whether will wish within "
     "without won't work works "
     "would yourself yourselves youll you'll you're you've we'll we're we've it's that's there's "
     "they're "
     "be is are was were being itself themselves ourselves myself customer customers actually "
     "basically "
     "necessary required require requires need needs needed allow allowed allows permitted"},
    {WORD_LIGHT, DE,
     "erhalten erh\xC3\xA4lt bekommt also anschlie\xC3\x9F"
     "end auch automatisch bekommen bereits bitte bringen dabei dadurch daf\xC3\xBCr damit danach "
     "dann "
     "daran darauf daraus darum dazu deshalb direkt durch einfach erst etwas fall falls finden "
     "folgende ganz geben gehen "
     "gern gerne gibt haben halten hier hinweis immer ist jederzeit kommen kommt k\xC3\xB6nnen "
     "k\xC3\xB6nnte kunde kunden "
     "kundin lassen lediglich leicht machen macht m\xC3\xB6glich m\xC3\xB6glichkeit muss "
     "m\xC3\xBCssen nat\xC3\xBCrlich nehmen nun "
     "nutzen nutzt problem schnell schritt sehen sein selbst sich sicher so sofort soll sollten "
     "sowie stellen steht "
     "\xC3\xBC"
     "ber umgehend verwenden verwendet vorhanden weise werden wird wissen zun\xC3\xA4"
     "chst zus\xC3\xA4tzlich "
     "jeweils n\xC3\xB6tig notwendig erforderlich brauchen ben\xC3\xB6tigen besteht bestehen "
     "d\xC3\xBCrfen darf person"},
    {WORD_POLITE, EN,
     "hello hi hey dear good morning afternoon evening day thank thanks many writing reaching "
     "contacting message messaging getting "
     "touch sorry apologise apologize apologies hear trouble inconvenience understand let know "
     "questions question further "
     "anything else happy glad help assist kind best warm regards sincerely wishes yours team "
     "patience sir madam mr ms mrs "
     "feel free hope hopefully helps reply back inquiry enquiry frustrating frustration appreciate "
     "pleasure welcome unclear still "
     "e-mail email just any other have if us to about can we more reach out hesitate please don't "
     "not do"},
    {WORD_POLITE, DE,
     "hallo guten tag morgen abend liebe lieber sehr geehrte geehrter frau herr damen herren "
     "vielen dank herzlichen nachricht "
     "anfrage danke tut leid bedauern unannehmlichkeiten entschuldigung entschuldigen fragen frage "
     "weitere gerne gern helfen "
     "weiter freundliche freundlichen gr\xC3\xBC\xC3\x9F"
     "e gr\xC3\xBC\xC3\x9F"
     "en beste viele melden verst\xC3\xA4ndnis geduld hilft "
     "hoffen offen antworten e-mail email einfach noch etwas gr\xC3\xBCsse gr\xC3\xBCssen"},
};

struct group_row {
    enum knowledge_lang lang;
    const char *words;
};

/* Words of one row may stand for each other in a paraphrase. */
static const struct group_row group_rows[] = {
    {EN, "parcel package shipment"},
    {EN, "e-mail mail message"},
    {EN, "telephone phone call"},
    {EN, "buy purchase purchased bought order ordered"},
    {EN, "get receive received obtain gets got given"},
    {EN, "begin start starts begins"},
    {EN, "choose select pick choosing click tap"},
    {EN, "press click tap push hit"},
    {EN, "send ship dispatch sent shipped mail forward sends post"},
    {EN, "return back"},
    {EN, "refund reimburse repay money amount refunds"},
    {EN, "cost charge fee price costs paid charged"},
    {EN, "free gratis"},
    {EN, "enter type fill input write"},
    {EN, "sign log login signin logon"},
    {EN, "fix repair mend"},
    {EN, "replace exchange swap substitute replacement"},
    {EN, "broken damaged defective faulty damage"},
    {EN, "end finish complete finished completed over done ends"},
    {EN, "stop halt stops"},
    {EN, "wait hold"},
    {EN, "keep retain store save kept stay stays remain remains"},
    {EN, "check verify examine inspect look checked"},
    {EN, "change modify edit alter adjust update changed"},
    {EN, "remove delete take out deleted removed"},
    {EN, "last take takes takes lasting lasts"},
    {EN, "show display appear visible see shown appears shows displayed"},
    {EN, "tell inform notify let write contact say name reach"},
    {EN, "arrive come delivered delivery reach arrived arrives deliver"},
    {EN, "collect pick fetch pickup picked collected"},
    {EN, "customer client"},
    {EN, "photo picture image photos"},
    {EN, "valid usable good"},
    {EN, "page site website"},
    {EN, "tax duty"},
    {EN, "possible can allowed available"},
    {EN, "reason cause"},
    {EN, "immediately once straight instantly"},
    {EN, "turn switch"},
    {EN, "plug socket"},
    {EN, "unplug disconnect"},
    {EN, "attempt try tries attempts"},
    {EN, "need require want must"},
    {EN, "option choice"},
    {EN, "allowed permitted"},
    {EN, "help assist support"},
    {EN, "form questionnaire"},
    {EN, "company business firm"},
    {EN, "total sum"},
    {EN, "whole entire full complete all completely entirely fully"},
    {EN, "each every per"},
    {EN, "large big"},
    {EN, "pay paid payment pays"},
    {EN, "place put lay set"},
    {EN, "hold keep"},
    {EN, "wrong incorrect"},
    {EN, "right correct"},
    {EN, "use redeem apply"},
    {EN, "expire lapse run"},
    {EN, "earn collect receive"},
    {EN, "lost missing"},
    {EN, "open go launch opens"},
    {EN, "find see locate found"},
    {EN, "address place"},
    {EN, "clean brush wash rinse"},
    {EN, "original initial"},
    {EN, "proof evidence"},
    {EN, "cover covered include includes included"},
    {EN, "exclude excluded except"},
    {EN, "blocked locked lock block"},
    {EN, "late delayed overdue"},
    {EN, "examine inspect check"},
    {EN, "ask request demand"},
    {EN, "answer reply respond"},
    {EN, "belong belongs"},
    {EN, "unused new"},
    {EN, "appear come"},
    {EN, "wait waits waiting stays kept"},
    {EN, "refuse decline reject refused declined"},
    {EN, "unopened sealed"},
    {EN, "automatically itself themselves own"},
    {EN, "minimum least"},
    {EN, "maximum most"},
    {EN, "number code"},
    {EN, "deadline limit"},
    {EN, "issue problem fault"},
    {EN, "link url"},
    {EN, "sell sold"},
    {EN, "find found"},
    {EN, "tell told"},
    {EN, "write wrote written"},
    {EN, "take took taken"},
    {EN, "choose chose chosen"},
    {EN, "break broke broken"},
    {EN, "lose lost"},
    {EN, "hold held"},
    {EN, "leave left"},
    {EN, "bring brought"},
    {EN, "speak spoke spoken"},
    {EN, "see saw seen"},
    {EN, "come came"},
    {EN, "go went gone"},
    {EN, "begin began begun"},
    {EN, "throw threw thrown"},
    {EN, "spend spent"},
    {EN, "forget forgot forgotten"},
    {EN, "wear wore worn"},
    {EN, "drive drove driven"},
    {EN, "freeze froze frozen"},
    {EN, "lend lent"},
    {EN, "give gave given"},
    {EN, "become became"},
    {EN, "run ran"},
    {EN, "win won"},
    {EN, "burst burst"},
    {EN, "stick stuck"},
    {EN, "build built"},
    {EN, "several multiple various numerous"},
    {EN, "affected impacted affect impact"},
    {EN, "fix resolve fixed resolved solve solved"},
    {EN, "happen occur arise happened occurred"},
    {EN, "usually normally generally typically commonly"},
    {EN, "quickly fast rapidly quick rapid"},
    {EN, "additional extra further more"},
    {EN, "error failure fault"},
    {EN, "triggered caused trigger cause"},
    {EN, "about approximately around roughly nearly"},
    {EN, "currently presently now"},
    {EN, "perform execute carry run performed"},
    {EN, "create generate build produce make"},
    {EN, "contain include hold contains includes"},
    {EN, "provide offer supply give provides"},
    {EN, "permit allow let allows lets"},
    {EN, "commence begin start"},
    {EN, "shut close"},
    {EN, "folder directory"},
    {EN, "app application program"},
    {EN, "mailbox inbox"},
    {EN, "preferences settings options"},
    {EN, "update upgrade"},
    {EN, "latest newest recent"},
    {EN, "previous former earlier"},
    {EN, "proper correct right"},
    {EN, "probably likely presumably"},
    {EN, "perhaps maybe possibly"},
    {EN, "often frequently"},
    {EN, "rarely seldom"},
    {EN, "main primary chief"},
    {EN, "essential important crucial vital"},
    {EN, "simple easy"},
    {EN, "difficult hard"},
    {EN, "guide instructions manual"},
    {EN, "notice see observe spot"},
    {EN, "view look see"},
    {EN, "move transfer shift"},
    {EN, "copy duplicate"},
    {EN, "combine merge join"},
    {EN, "separate split divide"},
    {EN, "hide conceal"},
    {EN, "erase delete remove wipe"},
    {EN, "restart reboot"},
    {EN, "quit exit close"},
    {EN, "tick check mark"},
    {EN, "kind type sort"},
    {EN, "amount quantity"},
    {EN, "staff employees team"},
    {EN, "shop store"},
    {EN, "invoice bill"},
    {EN, "warranty guarantee"},
    {EN, "carrier courier"},
    {EN, "due because owing"},
    {EN, "prior before"},
    {EN, "via through using"},
    {EN, "huge large big"},
    {EN, "small little tiny"},
    {EN, "entirely fully completely"},
    {EN, "ahead advance beforehand"},
    {EN, "regarding concerning about"},
    {EN, "sufficient enough adequate"},
    {EN, "launch open start"},
    {EN, "ask request"},
    {EN, "enable activate"},
    {EN, "disable deactivate"},
    {EN, "afterwards later then"},
    {EN, "initially first"},
    {EN, "finally eventually"},
    {EN, "permanently forever"},
    {EN, "reduce decrease lower"},
    {EN, "increase raise grow"},
    {EN, "inform notify tell"},
    {EN, "discover find detect identify"},
    {DE, "unterbrechen unterbrochen"},
    {DE, "nehmen genommen"},
    {DE, "geben gegeben"},
    {DE, "schreiben geschrieben"},
    {DE, "finden gefunden"},
    {DE, "bringen gebracht"},
    {DE, "ziehen gezogen"},
    {DE, "abziehen abgezogen ziehen"},
    {DE, "gehen gegangen"},
    {DE, "kommen gekommen"},
    {DE, "stehen gestanden"},
    {DE, "schlie\xC3\x9F"
         "en geschlossen angeschlossen"},
    {DE, "anbieten angeboten bieten"},
    {DE, "verlieren verloren"},
    {DE, "brechen gebrochen zerbrochen"},
    {DE, "halten gehalten h\xC3\xA4lt"},
    {DE, "lassen gelassen l\xC3\xA4sst"},
    {DE, "tragen getragen eingetragen"},
    {DE, "werfen geworfen"},
    {DE, "treffen getroffen"},
    {DE, "sprechen gesprochen"},
    {DE, "helfen geholfen"},
    {DE, "schieben geschoben"},
    {DE, "bleiben geblieben"},
    {DE, "erscheinen erschienen"},
    {DE, "ausschlie\xC3\x9F"
         "en ausgeschlossen"},
    {DE, "verbinden verbunden"},
    {DE, "abschlie\xC3\x9F"
         "en abgeschlossen"},
    {DE, "annehmen angenommen nehmen"},
    {DE, "k\xC3\xBCndbar k\xC3\xBCndigen k\xC3\xBCndigung"},
    {DE, "anrufen angerufen"},
    {DE, "vergessen vergisst"},
    {DE, "paket sendung p\xC3\xA4"
         "ckchen lieferung"},
    {DE, "e-mail mail nachricht"},
    {DE, "telefon anruf telefonnummer"},
    {DE, "kaufen bestellen gekauft bestellt kauf bestellung"},
    {DE, "bekommen erhalten erh\xC3\xA4lt bekommt empfangen"},
    {DE, "beginnen starten anfangen startet beginnt"},
    {DE, "w\xC3\xA4hlen ausw\xC3\xA4hlen aussuchen ausgew\xC3\xA4hlt gew\xC3\xA4hlt"},
    {DE, "dr\xC3\xBC"
         "cken klicken tippen anklicken"},
    {DE,
     "senden schicken versenden gesendet geschickt sendet schickt zusenden verschickt versendet"},
    {DE, "zur\xC3\xBC"
         "cksenden zur\xC3\xBC"
         "ckschicken zur\xC3\xBC"
         "ckgesendet zur\xC3\xBC"
         "ckgeschickt r\xC3\xBC"
         "cksendung zur\xC3\xBC"
         "ck"},
    {DE, "erstatten zur\xC3\xBC"
         "ckzahlen geld betrag erstattung erstattet"},
    {DE, "kosten preis geb\xC3\xBChr kostet"},
    {DE, "kostenlos gratis kostenfrei unentgeltlich"},
    {DE, "eingeben eintragen tragen ausf\xC3\xBCllen geben"},
    {DE, "anmelden einloggen anmeldung"},
    {DE, "reparieren reparatur"},
    {DE, "ersetzen austauschen tauschen ersatz umtauschen"},
    {DE, "besch\xC3\xA4"
         "digt kaputt defekt schaden"},
    {DE, "beenden abschlie\xC3\x9F"
         "en fertig"},
    {DE, "warten abwarten"},
    {DE, "behalten aufbewahren bewahren aufheben bleiben bleibt"},
    {DE, "pr\xC3\xBC"
         "fen kontrollieren nachsehen schauen sehen"},
    {DE, "\xC3\xA4ndern anpassen bearbeiten ge\xC3\xA4ndert"},
    {DE, "entfernen l\xC3\xB6schen herausnehmen"},
    {DE, "dauern dauert brauchen ben\xC3\xB6tigt"},
    {DE, "zeigen anzeigen erscheinen sichtbar sehen"},
    {DE, "sagen mitteilen melden schreiben nennen bescheid informieren kontaktieren"},
    {DE, "ankommen eintreffen angekommen geliefert da"},
    {DE, "abholen abgeholt holen"},
    {DE, "foto bild fotos"},
    {DE, "gelten gilt g\xC3\xBCltig"},
    {DE, "seite webseite website"},
    {DE, "grund ursache"},
    {DE, "sofort gleich umgehend direkt"},
    {DE, "einschalten anschalten anmachen"},
    {DE, "ausschalten abschalten ausmachen"},
    {DE, "versuch versuche"},
    {DE, "ganz voll vollst\xC3\xA4ndig komplett gesamt vollen ganzen"},
    {DE, "jede jeder jedes pro alle"},
    {DE, "bezahlen zahlen zahlung bezahlt gezahlt"},
    {DE, "legen stellen setzen"},
    {DE, "falsch fehlerhaft"},
    {DE, "richtig korrekt"},
    {DE, "verfallen ablaufen"},
    {DE, "verloren weg verschwunden"},
    {DE, "\xC3\xB6"
         "ffnen aufrufen gehen"},
    {DE, "finden sehen"},
    {DE, "firma unternehmen"},
    {DE, "reinigen s\xC3\xA4ubern putzen"},
    {DE, "enthalten umfassen einschlie\xC3\x9F"
         "en"},
    {DE, "gesperrt blockiert"},
    {DE, "versp\xC3\xA4tet sp\xC3\xA4t"},
    {DE, "bitten anfordern verlangen"},
    {DE, "antworten beantworten"},
    {DE, "k\xC3\xBCndigen beenden k\xC3\xBCndigung"},
    {DE, "ver\xC3\xA4ndern \xC3\xA4ndern"},
    {DE, "nutzen verwenden benutzen"},
    {DE, "monat monatlich"},
    {DE, "automatisch selbst"},
    {DE, "werktag arbeitstag werktage arbeitstage"},
    {DE, "sicher gut"},
    {DE, "anliegen problem"},
    {DE, "w\xC3\xA4hlen tippen klicken ausw\xC3\xA4hlen antippen anklicken"},
    {DE, "enthalten umfasst enth\xC3\xA4lt umfassen"},
    {DE, "erstatten zur\xC3\xBC"
         "ck zur\xC3\xBC"
         "ckerhalten zur\xC3\xBC"
         "ckbekommen zur\xC3\xBC"
         "ckerstatten"},
    {DE, "mehrere einige verschiedene"},
    {DE, "auftreten vorkommen passieren geschehen"},
    {DE, "normalerweise meist meistens gew\xC3\xB6hnlich \xC3\xBC" "blicherweise"},
    {DE, "schnell rasch z\xC3\xBCgig"},
    {DE, "zus\xC3\xA4tzlich weitere extra"},
    {DE, "beheben l\xC3\xB6sen behoben gel\xC3\xB6st"},
    {DE, "erstellen anlegen erzeugen erstellt angelegt"},
    {DE, "speichern sichern gespeichert"},
    {DE, "neustarten starten"},
    {DE, "ordner verzeichnis"},
    {DE, "programm anwendung app"},
    {DE, "handy mobiltelefon smartphone"},
    {DE, "postfach posteingang"},
    {DE, "einstellungen optionen"},
    {DE, "aktualisieren updaten"},
    {DE, "derzeit momentan aktuell zurzeit"},
    {DE, "etwa ungef\xC3\xA4hr circa rund"},
    {DE, "wahrscheinlich vermutlich"},
    {DE, "h\xC3\xA4ufig oft"},
    {DE, "wichtig wesentlich"},
    {DE, "schwierig schwer"},
    {DE, "bemerken feststellen"},
    {DE, "mitarbeiter personal team"},
    {DE, "artikel ware produkt"},
    {DE, "laden gesch\xC3\xA4" "ft shop"},
    {DE, "paketdienst zusteller spediteur"},
    {DE, "ben\xC3\xB6tigen brauchen"},
    {DE, "versuchen probieren"},
    {DE, "verhindern vermeiden"},
    {DE, "hinzuf\xC3\xBCgen erg\xC3\xA4nzen"},
    {DE, "enth\xC3\xA4lt beinhaltet"},
    {DE, "anschlie\xC3\x9F" "end danach"},
    {DE, "zuerst zun\xC3\xA4" "chst"},
    {DE, "vorher zuvor"},
    {DE, "kurz knapp"},
    {DE, "aktivieren einschalten"},
    {DE, "deaktivieren ausschalten"},
    {DE, "anzeigen einblenden"},
    {DE, "schlie\xC3\x9F" "en zumachen"},
};

static const struct group_row opposite_rows[] = {
    {EN, "before after"},
    {EN, "always never"},
    {EN, "more less"},
    {EN, "more fewer"},
    {EN, "above below"},
    {EN, "over under"},
    {EN, "first last"},
    {EN, "increase decrease"},
    {EN, "on off"},
    {EN, "open close"},
    {EN, "opened closed"},
    {EN, "opened unopened"},
    {EN, "with without"},
    {EN, "include exclude"},
    {EN, "included excluded"},
    {EN, "free paid"},
    {EN, "new old"},
    {EN, "up down"},
    {EN, "left right"},
    {EN, "hot cold"},
    {EN, "full empty"},
    {EN, "add remove"},
    {EN, "accept refuse"},
    {EN, "accept reject"},
    {EN, "minimum maximum"},
    {EN, "least most"},
    {EN, "earlier later"},
    {EN, "early late"},
    {EN, "start stop"},
    {EN, "used unused"},
    {EN, "possible impossible"},
    {EN, "valid invalid"},
    {EN, "lock unlock"},
    {EN, "plug unplug"},
    {EN, "connect disconnect"},
    {EN, "wet dry"},
    {EN, "clean dirty"},
    {EN, "since until"},
    {EN, "enable disable"},
    {EN, "increase reduce"},
    {EN, "high low"},
    {EN, "inside outside"},
    {EN, "allowed forbidden"},
    {EN, "if unless"},
    {EN, "subscribe unsubscribe"},
    {EN, "latest oldest"},
    {EN, "newest oldest"},
    {EN, "included extra"},
    {EN, "enter leave"},
    {EN, "long short"},
    {EN, "all none"},
    {EN, "everybody nobody"},
    {EN, "both neither"},
    {EN, "safe unsafe"},
    {EN, "sometimes always"},
    {EN, "insert remove"},
    {EN, "fill empty"},
    {DE, "vor nach"},
    {DE, "immer nie"},
    {DE, "mehr weniger"},
    {DE, "mindestens h\xC3\xB6"
         "chstens"},
    {DE, "mit ohne"},
    {DE, "einschalten ausschalten"},
    {DE, "fr\xC3\xBCher sp\xC3\xA4ter"},
    {DE, "kostenlos kostenpflichtig"},
    {DE, "\xC3\xB6"
         "ffnen schlie\xC3\x9F"
         "en"},
    {DE, "ge\xC3\xB6"
         "ffnet geschlossen"},
    {DE, "neu alt"},
    {DE, "voll leer"},
    {DE, "hei\xC3\x9F kalt"},
    {DE, "links rechts"},
    {DE, "oben unten"},
    {DE, "g\xC3\xBCltig ung\xC3\xBCltig"},
    {DE, "m\xC3\xB6glich unm\xC3\xB6glich"},
    {DE, "annehmen ablehnen"},
    {DE, "hinzuf\xC3\xBCgen entfernen"},
    {DE, "erste letzte"},
    {DE, "nass trocken"},
    {DE, "benutzt unbenutzt"},
    {DE, "bevor nachdem"},
    {DE, "neueste \xC3\xA4lteste"},
    {DE, "erlaubt verboten"},
    {DE, "f\xC3\xBCllen leeren"},
    {DE, "l\xC3\xA4nger k\xC3\xBCrzer"},
    {DE, "hoch niedrig"},
    {DE, "starten stoppen"},
};

struct entry {
    char word[KNOWLEDGE_WORD_SIZE]; /* stem, or the folded word for classes */
    enum knowledge_lang lang;
    int value;
};

struct table {
    struct entry *items;
    size_t count, room;
};

static struct table classes, groups, opposites;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int by_word(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->word, y->word);
    return c != 0 ? c : (int)x->lang - (int)y->lang;
}

static void put(struct table *t, const char *word, enum knowledge_lang lang, int value)
{
    if (t->count == t->room) {
        t->room = t->room == 0 ? 512 : t->room * 2;
        t->items = mem_realloc(t->items, t->room * sizeof(*t->items));
    }
    struct entry *e = &t->items[t->count++];
    *e = (struct entry){.lang = lang, .value = value};
    strncat(e->word, word, sizeof(e->word) - 1);
}

static void put_row(struct table *t, const char *text, enum knowledge_lang lang, int value,
                    bool stems)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, strlen(text), lang);
    for (size_t i = 0; i < w.count; i++) {
        put(t, stems ? w.items[i].stem : w.items[i].folded, lang, value);
    }
    knowledge_words_done(&w);
}

static void build(void)
{
    for (size_t i = 0; i < COUNT_OF(class_rows); i++) {
        put_row(&classes, class_rows[i].words, class_rows[i].lang, (int)class_rows[i].classes,
                false);
    }
    for (size_t i = 0; i < COUNT_OF(group_rows); i++) {
        put_row(&groups, group_rows[i].words, group_rows[i].lang, (int)i + 1, true);
    }
    for (size_t i = 0; i < COUNT_OF(opposite_rows); i++) {
        put_row(&opposites, opposite_rows[i].words, opposite_rows[i].lang, (int)i + 1, true);
    }
    qsort(classes.items, classes.count, sizeof(struct entry), by_word);
    qsort(groups.items, groups.count, sizeof(struct entry), by_word);
    qsort(opposites.items, opposites.count, sizeof(struct entry), by_word);
}

/* First entry of the word, or NULL; the others of the same word follow it. */
static const struct entry *first_of(const struct table *t, const char *word,
                                    enum knowledge_lang lang)
{
    pthread_once(&once, build);
    struct entry key = {.lang = lang};
    strncat(key.word, word, sizeof(key.word) - 1);
    const struct entry *e = bsearch(&key, t->items, t->count, sizeof(key), by_word);
    while (e != NULL && e > t->items && by_word(e - 1, &key) == 0) {
        e--;
    }
    return e;
}

static bool same_entry(const struct table *t, const struct entry *a, const struct entry *b)
{
    return b < t->items + t->count && by_word(a, b) == 0;
}

unsigned check_word_classes(const char *folded, const char *stem, enum knowledge_lang lang)
{
    (void)stem;
    unsigned all = 0;
    const struct entry *e = first_of(&classes, folded, lang);
    for (const struct entry *x = e; x != NULL && same_entry(&classes, e, x); x++) {
        all |= (unsigned)x->value;
    }
    return all;
}

bool check_share_group(const char *a, const char *b, enum knowledge_lang lang)
{
    const struct entry *x = first_of(&groups, a, lang), *y = first_of(&groups, b, lang);
    for (const struct entry *i = x; i != NULL && y != NULL && same_entry(&groups, x, i); i++) {
        for (const struct entry *j = y; same_entry(&groups, y, j); j++) {
            if (i->value == j->value) {
                return true;
            }
        }
    }
    return false;
}

bool check_is_opposite(const char *a, const char *b, enum knowledge_lang lang)
{
    if (strcmp(a, b) == 0) {
        return false;
    }
    const struct entry *x = first_of(&opposites, a, lang), *y = first_of(&opposites, b, lang);
    for (const struct entry *i = x; i != NULL && y != NULL && same_entry(&opposites, x, i); i++) {
        for (const struct entry *j = y; same_entry(&opposites, y, j); j++) {
            if (i->value == j->value) {
                return true;
            }
        }
    }
    return false;
}

/* ---- numbers and units ---- */

struct number_row {
    const char *word;
    double value;
};

static const struct number_row numbers_en[] = {
    {"zero", 0},     {"two", 2},       {"three", 3},     {"four", 4},      {"five", 5},
    {"six", 6},      {"seven", 7},     {"eight", 8},     {"nine", 9},      {"ten", 10},
    {"eleven", 11},  {"twelve", 12},   {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15},
    {"sixteen", 16}, {"eighteen", 18}, {"twenty", 20},   {"thirty", 30},   {"forty", 40},
    {"fifty", 50},   {"sixty", 60},    {"ninety", 90},   {"hundred", 100}, {"thousand", 1000},
    {"twice", 2},    {"dozen", 12},    {"half", 0.5},
};

static const struct number_row numbers_de[] = {
    {"null", 0},
    {"zwei", 2},
    {"drei", 3},
    {"vier", 4},
    {"f\xC3\xBCnf", 5},
    {"sechs", 6},
    {"sieben", 7},
    {"acht", 8},
    {"neun", 9},
    {"zehn", 10},
    {"elf", 11},
    {"zw\xC3\xB6lf", 12},
    {"vierzehn", 14},
    {"f\xC3\xBCnfzehn", 15},
    {"zwanzig", 20},
    {"drei\xC3\x9Fig", 30},
    {"dreissig", 30},
    {"vierzig", 40},
    {"f\xC3\xBCnfzig", 50},
    {"sechzig", 60},
    {"neunzig", 90},
    {"hundert", 100},
    {"tausend", 1000},
    {"zweimal", 2},
    {"dreimal", 3},
    {"halb", 0.5},
    {"halbe", 0.5},
    {"zweite", 2},
    {"dritte", 3},
};

bool check_number_word(const char *folded, enum knowledge_lang lang, double *value)
{
    const struct number_row *rows = lang == DE ? numbers_de : numbers_en;
    size_t n = lang == DE ? COUNT_OF(numbers_de) : COUNT_OF(numbers_en);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].word, folded) == 0) {
            *value = rows[i].value;
            return true;
        }
    }
    return false;
}

static const struct {
    enum unit unit;
    double factor;
    const char *words;
} units[] = {
    {UNIT_SECONDS, 1, " second seconds sec sekunde sekunden "},
    {UNIT_SECONDS, 60, " minute minutes min minuten "},
    {UNIT_SECONDS, 3600, " hour hours stunde stunden "},
    {UNIT_SECONDS, 86400, " day days tag tage tagen tages "},
    {UNIT_SECONDS, 604800, " week weeks woche wochen "},
    {UNIT_WORKDAYS, 1,
     " workday workdays werktag werktage werktagen arbeitstag arbeitstage arbeitstagen "},
    {UNIT_MONTHS, 1, " month months monat monate monaten "},
    {UNIT_MONTHS, 12, " year years jahr jahre jahren "},
    {UNIT_MONEY, 1, " euro euros eur dollar dollars usd pound pounds gbp franken chf "},
    {UNIT_PERCENT, 1, " percent prozent "},
    {UNIT_GRAMS, 1, " g gram grams gramm "},
    {UNIT_GRAMS, 1000, " kg kilo kilos kilogram kilograms kilogramm "},
    {UNIT_LITRES, 1, " l litre litres liter liters liter litern "},
    {UNIT_LITRES, 0.001, " ml millilitre millilitres milliliter "},
    {UNIT_METRES, 1, " m metre metres meter meters metern "},
    {UNIT_METRES, 0.01, " cm centimetre centimetres zentimeter "},
    {UNIT_HERTZ, 1, " ghz "},
    {UNIT_DEGREES, 1, " degree degrees grad "},
};

enum unit check_unit(const char *folded, double *factor)
{
    char key[KNOWLEDGE_WORD_SIZE + 3];
    snprintf(key, sizeof(key), " %s ", folded);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strstr(units[i].words, key) != NULL) {
            *factor = units[i].factor;
            return units[i].unit;
        }
    }
    *factor = 1;
    return UNIT_NONE;
}
