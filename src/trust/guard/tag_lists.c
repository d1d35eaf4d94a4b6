/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Word lists of the tagger: first names, places, peoples, words of addresses, companies, titles,
 * dates, and ordinary words. A word on a list is a hint among others, never a finding. Written by
 * hand.
 *
 * Owns: a hash table made once. Threads: read-only after. Limits: words of at most 24 bytes.
 */
#include "trust/guard/tagger_internal.h"

#include <pthread.h>
#include <string.h>

static const char *const lists[] = {
    /* first names */
    "james john robert michael william david richard joseph thomas charles christopher daniel "
    "matthew anthony mark donald steven paul andrew joshua kenneth kevin brian george edward "
    "ronald timothy jason jeffrey ryan jacob gary nicholas eric jonathan stephen larry justin "
    "scott brandon benjamin samuel gregory frank alexander raymond patrick jack dennis jerry tyler "
    "aaron jose adam henry nathan douglas zachary peter kyle walter ethan jeremy harold keith "
    "christian roger noah gerald carl terry sean austin arthur lawrence jesse dylan bryan joe "
    "jordan billy bruce albert willie gabriel logan alan juan wayne roy ralph randy eugene vincent "
    "mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty "
    "margaret sandra ashley kimberly emily donna michelle carol amanda dorothy melissa deborah "
    "stephanie rebecca sharon laura cynthia kathleen amy angela shirley anna brenda pamela emma "
    "nicole helen samantha katherine christine debra rachel carolyn janet catherine maria heather "
    "diane ruth julie olivia joyce virginia victoria kelly lauren christina joan evelyn judith "
    "megan andrea cheryl hannah jacqueline martha gloria teresa ann sara madison frances kathryn "
    "janice jean abigail alice julia judy sophia grace denise amber doris marilyn danielle "
    "beverly isabella theresa diana natalie brittany charlotte marie kayla alexis lori bob bill "
    "tom tim jim mike steve dave dan ben sam alex chris nick matt tony kate jane sue liz meg "
    "hans klaus peter wolfgang juergen j\xc3\xbcrgen dieter manfred uwe g\xc3\xbcnter horst bernd "
    "stefan andreas thomas martin jens sven ralf dirk torsten jan lars florian sebastian tobias "
    "philipp felix lukas jonas leon finn moritz max paul heike sabine petra monika ursula renate "
    "brigitte karin ingrid susanne birgit claudia silke anja katrin kerstin nadine julia lena "
    "pierre jean michel philippe alain patrick nicolas christophe laurent fran\xc3\xa7ois "
    "jacques \xc3\xa9ric olivier julien s\xc3\xa9"
    "bastien nathalie isabelle sylvie catherine "
    "fran\xc3\xa7oise val\xc3\xa9rie c\xc3\xa9line sophie camille chlo\xc3\xa9 l\xc3\xa9"
    "a manon "
    "giuseppe giovanni antonio mario luigi francesco angelo vincenzo pietro salvatore carlo franco "
    "marco luca matteo lorenzo alessandro giulia chiara francesca giorgia elena valentina paola "
    "carlos jos\xc3\xa9 manuel francisco javier miguel alejandro rafael pedro pablo sergio "
    "fernando "
    "jorge alberto ra\xc3\xbal diego luis carmen josefa isabel dolores pilar teresa luc\xc3\xad"
    "a "
    "joao jo\xc3\xa3o tiago rui paulo bruno ana in\xc3\xaas beatriz mariana joana rita catarina "
    "jan piet kees willem henk johan maarten sander daan sem lotte sanne femke anouk fleur "
    "piotr krzysztof andrzej tomasz jan pawe\xc5\x82 marcin micha\xc5\x82 grzegorz jerzy anna "
    "katarzyna ma\xc5\x82gorzata agnieszka barbara ewa krystyna el\xc5\xbc"
    "bieta magdalena zofia "
    "ivan dmitri sergei alexei vladimir mikhail nikolai andrei yuri igor oleg pavel olga natalia "
    "tatiana irina svetlana ekaterina elena galina ludmila "
    "lars erik anders nils per johan karl magnus bj\xc3\xb6rn olaf gunnar leif ingrid astrid "
    "birgitta karin maja freja ida mette s\xc3\xb8ren niels jens kirsten hanne matti juha kari "
    "antti jari timo pekka mikko tiina sari p\xc3\xa4ivi anneli "
    "mehmet mustafa ahmet ali h\xc3\xbcseyin hasan ibrahim fatma ay\xc5\x9f"
    "e emine hatice zeynep "
    "mohammed muhammad mohamed omar hassan hussein khalid abdullah fatima aisha layla noor "
    "wei fang jing yan hui min jun hiroshi takashi kenji yuki akira satoshi tomomi haruto "
    "yuko keiko sakura raj amit sanjay priya anita deepak sunil vijay ravi anil arjun neha pooja "
    "istv\xc3\xa1n l\xc3\xa1szl\xc3\xb3 j\xc3\xb3zsef zolt\xc3\xa1n g\xc3\xa1"
    "bor attila ferenc "
    "jiri ji\xc5\x99\xc3\xad petr josef tom\xc3\xa1\xc5\xa1 martin jana eva hana lucie tereza "
    "dragan milan zoran goran nikola stefan ana jelena marija milica",
    /* places */
    "afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan "
    "bahamas bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia "
    "botswana brazil brunei bulgaria burundi cambodia cameroon canada chad chile china colombia "
    "congo croatia cuba cyprus czechia denmark djibouti dominica ecuador egypt eritrea estonia "
    "eswatini ethiopia fiji finland france gabon gambia georgia germany ghana greece greenland "
    "grenada guam guatemala guinea guyana haiti honduras hungary iceland india indonesia iran iraq "
    "ireland israel italy jamaica japan jordan kazakhstan kenya kiribati kosovo kuwait kyrgyzstan "
    "laos latvia lebanon lesotho liberia libya liechtenstein lithuania luxembourg madagascar "
    "malawi "
    "malaysia maldives mali malta mauritania mauritius mexico moldova monaco mongolia montenegro "
    "morocco mozambique myanmar namibia nauru nepal netherlands nicaragua niger nigeria norway "
    "oman "
    "pakistan palau palestine panama paraguay peru philippines poland portugal qatar romania "
    "russia "
    "rwanda samoa scotland senegal serbia seychelles singapore slovakia slovenia somalia spain "
    "sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand togo tonga "
    "tunisia "
    "turkey turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu venezuela vietnam wales "
    "yemen zambia zimbabwe england britain usa uk uae usa europe africa asia america deutschland "
    "\xc3\xb6sterreich schweiz frankreich italien spanien polen london paris berlin madrid rome "
    "vienna munich hamburg frankfurt cologne k\xc3\xb6ln stuttgart d\xc3\xbcsseldorf leipzig "
    "zurich geneva amsterdam rotterdam brussels antwerp copenhagen oslo stockholm helsinki dublin "
    "edinburgh manchester birmingham glasgow liverpool lisbon porto barcelona valencia seville "
    "milan "
    "naples turin florence venice athens prague budapest warsaw krakow bucharest sofia belgrade "
    "zagreb moscow kyiv istanbul ankara tokyo osaka kyoto beijing shanghai seoul delhi mumbai "
    "bangalore karachi dhaka bangkok hanoi manila jakarta sydney melbourne auckland toronto "
    "montreal "
    "vancouver ottawa chicago boston seattle dallas houston austin denver phoenix atlanta miami "
    "philadelphia detroit california texas florida nevada ohio oregon washington virginia georgia "
    "illinois michigan alaska hawaii arizona colorado york angeles francisco lagos cairo nairobi "
    "johannesburg dubai tehran baghdad lima bogota caracas santiago",
    /* peoples */
    "afghan albanian algerian american argentine argentinian armenian australian austrian belgian "
    "bosnian brazilian british bulgarian cambodian canadian chechen chilean chinese colombian "
    "croatian cuban czech danish dutch egyptian english estonian ethiopian finnish french georgian "
    "german ghanaian greek greenlander hungarian icelandic indian indonesian iranian iraqi irish "
    "israeli italian jamaican japanese jordanian kenyan korean kuwaiti latvian lebanese lithuanian "
    "malaysian maltese mexican moldovan mongolian moroccan nepalese nigerian norwegian pakistani "
    "palestinian peruvian philippine filipino polish portuguese romanian russian rwandan saudi "
    "scottish senegalese serbian slovak slovenian somali spanish sudanese swedish swiss syrian "
    "taiwanese thai tunisian turkish ugandan ukrainian uruguayan uzbek venezuelan vietnamese welsh "
    "yemeni zambian christian muslim jewish catholic protestant hindu buddhist republican democrat",
    /* addresses */
    "street st road rd avenue ave lane ln drive dr boulevard blvd court ct square sq place pl "
    "terrace way close crescent highway hwy route suite apt apartment unit box po floor block "
    "building stra\xc3\x9f"
    "e strasse str weg platz allee gasse ring ufer damm rue avenue place "
    "chemin all\xc3\xa9"
    "e impasse via viale piazza corso calle avenida plaza paseo rua travessa "
    "straat laan plein gracht gata gatan v\xc3\xa4gen vej gade katu tie kuja ulica ul aleja "
    "utca \xc3\xba"
    "t address postcode zip",
    /* companies */
    "inc ltd llc corp corporation company co group gmbh ag kg se plc sa sarl spa srl bv nv ab as "
    "oy "
    "university institute foundation association bank hospital school college orchestra society "
    "systems technologies solutions services partners sons associates ministry department",
    /* titles */
    "mr mrs ms miss mx dr prof professor sir madam lord lady captain judge president doctor herr "
    "frau madame monsieur mme signor se\xc3\xb1or se\xc3\xb1ora engineer manager officer clerk "
    "teacher nurse lawyer architect director administrator technician scientist analyst consultant "
    "designer accountant assistant secretary editor journalist chef driver pilot therapist",
    /* dates */
    "january february march april may june july august september october november december jan feb "
    "mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday "
    "sunday januar februar m\xc3\xa4rz mai juni juli oktober dezember montag dienstag mittwoch "
    "donnerstag freitag samstag sonntag yesterday tomorrow today",
    /* ordinary: words that begin sentences, and those of our trade */
    "i a an the this that these those it its he she we you they me my your our their his her who "
    "what which when where why how if then than and or but so because as of in on at to from by "
    "for "
    "with without about into over under after before between through during until while since not "
    "no yes ok okay all any some each every both many much more most few less least other another "
    "same such only own very too also again once here there now just still already yet soon never "
    "always often sometimes maybe please thanks thank hello hi hey dear regards best kind is are "
    "was "
    "were be been being am have has had do does did done can could will would shall should may "
    "might "
    "must need want like get got go going went come came make made take took see saw look use used "
    "using try tried know think say said tell told ask asked give gave find found keep let put set "
    "run send sent show shown call called work works worked working help helped start started stop "
    "stopped open opened close closed change changed update updated add added remove removed "
    "delete "
    "deleted create created move moved click press select choose enter type check checked save "
    "saved "
    "restart reboot install installed uninstall download upload login logout sign log reset fix "
    "fixed "
    "email emails mail mails message messages file files folder folders page pages line lines list "
    "lists item items name names number numbers date dates time times day days week weeks month "
    "months year years hour hours minute minutes user users account accounts password passwords "
    "card cards order orders ticket tickets customer customers team teams support service server "
    "servers client clients device devices phone phones computer screen button menu tab window "
    "windows app apps desktop android linux mac ios iphone browser firefox chrome safari outlook "
    "gmail yahoo microsoft google apple amazon thunderbird error errors problem problems issue "
    "issues "
    "bug question answer answers reply version release system network internet wifi router cable "
    "printer scanner keyboard mouse monitor battery power cache data database backup setting "
    "settings option options profile export import inbox outbox sent draft drafts trash spam junk "
    "subject body attachment attachments calendar contact contacts address addresses book agent "
    "first second third last next previous new old good bad right wrong true false high low big "
    "small long short one two three four five six seven eight nine ten hide mode dark light "
    "ich du er sie es wir ihr der die das den dem ein eine und oder aber nicht mit von zu bei nach "
    "auf f\xc3\xbcr ist sind war haben hat hallo bitte danke guten kein keine wenn wie was wo "
    "warum "
    "le la les un une et ou mais pas avec de du des est sont bonjour merci je vous nous il elle "
    "el los las y pero con es son hola gracias yo usted por para que non che per una il lo",
};

#define SLOTS 8192

static struct {
    uint32_t hash;
    uint32_t bits;
} table[SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h | 1;
}

static void fill(void)
{
    for (size_t l = 0; l < COUNT_OF(lists); l++) {
        for (const char *s = lists[l]; *s != '\0';) {
            size_t n = strcspn(s, " ");
            uint32_t h = hash(s, n);
            size_t slot = h % SLOTS;
            while (table[slot].hash != 0 && table[slot].hash != h) {
                slot = (slot + 1) % SLOTS;
            }
            table[slot].hash = h;
            table[slot].bits |= 1u << l;
            s += n + strspn(s + n, " ");
        }
    }
}

uint32_t tag_listed(const char *lower, size_t n)
{
    pthread_once(&once, fill);
    uint32_t h = hash(lower, n);
    size_t slot = h % SLOTS;
    while (table[slot].hash != 0 && table[slot].hash != h) {
        slot = (slot + 1) % SLOTS;
    }
    return table[slot].hash == h ? table[slot].bits : 0;
}
