/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context: which words around a number say what it is, in English, German, French, Spanish,
 * Italian, Portuguese, Dutch and Polish.
 *
 * Owns: a hash table made once. Threads: read-only after. Limits: 80 bytes before, 40 behind.
 */
#include "trust/guard/guard_internal.h"

#include <pthread.h>
#include <string.h>

#define BEFORE 80
#define BEHIND 40
#define WORD_MAX 32
#define SLOTS 1024

static const char *const words[GUARD_CONTEXT_COUNT] = {
    [GUARD_CONTEXT_CARD] =
        "card cards cc credit debit visa mastercard amex maestro diners jcb discover pan karte "
        "kreditkarte kartennummer bankkarte carte tarjeta carta cart\xc3\xa3o cartao kaart "
        "creditcard kaartnummer karta karty kreditkort",
    [GUARD_CONTEXT_ORDER] =
        "order orders ordered ticket parcel tracking shipment invoice serial reference ref case "
        "booking batch sku ean isbn gtin bestellung bestellnummer auftrag auftragsnummer rechnung "
        "rechnungsnummer sendung sendungsnummer vorgang commande facture suivi colis pedido "
        "factura "
        "env\xc3\xado ordine fattura spedizione encomenda fatura bestelling factuur "
        "zam\xc3\xb3wienie "
        "faktura przesy\xc5\x82ka transaction id",
    [GUARD_CONTEXT_PERSON_ID] =
        "ssn social security national insurance nino nhs passport taxpayer tax tin steuer steuerid "
        "idnr identifikationsnummer steueridentifikationsnummer steuernummer personalausweis "
        "sozialversicherung sozialversicherungsnummer ahv avs nir s\xc3\xa9"
        "curit\xc3\xa9 securite "
        "sociale dni nie nif cif identidad fiscale codice bsn burgerservicenummer sofinummer "
        "rijksregister registre rijksregisternummer pesel personnummer personnr f\xc3\xb8"
        "dselsnummer "
        "cpr hetu henkil\xc3\xb6tunnus cpf contribuinte aadhaar aadhar sin tfn medicare citizen "
        "identity identification personal insee",
    [GUARD_CONTEXT_IMEI] =
        "imei device handset phone smartphone ger\xc3\xa4t handy t\xc3\xa9l\xc3\xa9phone",
    [GUARD_CONTEXT_BIRTH] =
        "born birth birthday birthdate dob geboren geburtsdatum geburtstag geb n\xc3\xa9 n\xc3\xa9"
        "e "
        "naissance nacido nacida nacimiento nato nata nascita nascido nascida nascimento "
        "geboortedatum urodzony urodzona urodzenia",
    [GUARD_CONTEXT_PHONE] =
        "phone tel telephone call mobile cell fax telefon anrufen handynummer mobil rufnummer ring "
        "t\xc3\xa9l\xc3\xa9phone appeler tel\xc3\xa9"
        "fono llamar m\xc3\xb3vil telefono cellulare chiamare "
        "telefone ligar telefoon bellen mobiel zadzwo\xc5\x84 whatsapp sms",
    [GUARD_CONTEXT_VAT] =
        "vat ust ustid ustidnr umsatzsteuer umsatzsteuerid uid tva iva btw mwst partita piva ptu "
        "nip moms intracom",
};

static struct {
    uint32_t hash;
    uint32_t bits;
} table[SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) {
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 32) : s[i];
        h = (h ^ (unsigned char)c) * 16777619u;
    }
    return h | 1;
}

static size_t slot_of(uint32_t h)
{
    size_t slot = h % SLOTS;
    while (table[slot].hash != 0 && table[slot].hash != h) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

static void fill(void)
{
    for (size_t l = 0; l < COUNT_OF(words); l++) {
        for (const char *s = words[l]; *s != '\0';) {
            size_t n = strcspn(s, " ");
            uint32_t h = hash(s, n);
            size_t slot = slot_of(h);
            table[slot].hash = h;
            table[slot].bits |= 1u << l;
            s += n + strspn(s + n, " ");
        }
    }
}

struct looking {
    uint32_t among;
    uint32_t found;
    size_t distance;
    enum guard_context nearest;
};

static void look(struct looking *l, const char *s, size_t n, size_t distance)
{
    if (n > WORD_MAX) {
        return;
    }
    uint32_t bits = table[slot_of(hash(s, n))].bits & l->among;
    l->found |= bits;
    if (bits != 0 && distance < l->distance) {
        l->distance = distance;
        l->nearest = (enum guard_context)__builtin_ctz(bits);
    }
}

static bool ends_paragraph(const char *s, size_t left)
{
    return left > 1 && s[0] == '\n' && s[1] == '\n';
}

uint32_t guard_context(const char *text, size_t n, size_t from, size_t to, uint32_t among,
                       enum guard_context *nearest)
{
    struct looking l = {
        .among = among, .distance = BEFORE + BEHIND, .nearest = GUARD_CONTEXT_COUNT};
    pthread_once(&once, fill);
    size_t at = from;
    size_t end = from;
    while (at > 0 && from - at < BEFORE && !ends_paragraph(text + at - 1, n - at + 1)) {
        at--;
        if (!guard_is_word(text[at])) {
            look(&l, text + at + 1, end - at - 1, from - end);
            end = at;
        }
    }
    if (end > at && (at == 0 || !guard_is_word(text[at - 1]))) {
        look(&l, text + at, end - at, from - end);
    }
    size_t start = to;
    for (at = to; at <= n && at - to <= BEHIND; at++) {
        if (at == n || !guard_is_word(text[at])) {
            /* what stands before counts first */
            look(&l, text + start, at - start, start - to + 3);
            start = at + 1;
        }
        if (at < n && ends_paragraph(text + at, n - at)) {
            break;
        }
    }
    if (nearest != NULL) {
        *nearest = l.nearest;
    }
    return l.found;
}
