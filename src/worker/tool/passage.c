/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `compare` and `measure` read: everyday business text, written for this purpose, so that the
 * figures of two machines are about the same words. English two thirds, German one third; changing
 * a letter changes the figures.
 */
#include "worker/tool/tool_internal.h"

const char *const tool_passages[TOOL_PASSAGES] = {
    /* A ticket and its answer. */
    "From: Miriam Okafor\nTo: Support\nSubject: Invoice 20418 charged twice\n\n"
    "Hello,\n\non Monday we paid invoice 20418 over 1,290.00 EUR by direct debit. This morning our "
    "bank shows the same amount a second time, with the same reference and a date one day later. "
    "Nothing was ordered in between: our last delivery was the spare pump on 3 March, and that one "
    "has an invoice of its own. Please look into it and return the second payment. If you need the "
    "bank statement, tell me where to send it, because your upload page refuses files larger than "
    "two megabytes.\n\nOne more thing. The new contact for our plant in Leeds is Daniel Price; his "
    "telephone number is on the attached sheet. He will sign for the deliveries from April on.\n\n"
    "Kind regards\nMiriam Okafor\n\n"
    "Dear Ms Okafor,\n\nthank you for writing to us. We have found both payments. The second one "
    "was collected by mistake, because the order was booked again after a system restart on Monday "
    "night. We have returned 1,290.00 EUR to your account today; depending on your bank it takes "
    "two to three working days. The booking of the order itself is correct and stays as it is. We "
    "have also changed the contact for Leeds to Mr Price. You need not send the statement.\n\n"
    "We apologise for the trouble.\n",
    /* A report with figures, steps and a table. */
    "Weekly report of the service desk, week 11\n\n"
    "1. Summary\nThe desk received 412 requests, 9 percent more than in the week before. 371 of "
    "them "
    "were answered on the same day. The median waiting time was 26 minutes; the longest open "
    "request "
    "is a failed export of payroll data, which waits for the supplier. No request was lost.\n\n"
    "2. Where the requests came from\n| queue | new | closed | open |\n|---|---|---|---|\n"
    "| billing | 118 | 121 | 14 |\n| hardware | 74 | 69 | 22 |\n| access | 163 | 165 | 3 |\n"
    "| other | 57 | 55 | 9 |\n\n"
    "3. What went wrong\nOn Wednesday between 10:40 and 11:25 nobody could log in to the time "
    "sheet. "
    "The cause was an expired certificate on the proxy. It was renewed by hand, and the renewal "
    "now "
    "runs every sixty days by itself. A test that warns two weeks before the end of a certificate "
    "has been added to the monitoring.\n\n"
    "4. Next steps\n- Order twelve network cards for the second floor before the end of the "
    "month.\n"
    "- Move the printers of the finance department to the new server; users must restart once.\n"
    "- Write down how a lost badge is replaced, because four colleagues asked the same question.\n"
    "- Check with the works council whether recordings of training calls may be kept for 30 "
    "days.\n",
    /* German: a complaint, an internal note. */
    "Sehr geehrte Damen und Herren,\n\nam 14. Februar habe ich bei Ihnen zwei Kaffeemaschinen "
    "f\xC3\xBC"
    "r unsere K\xC3\xBC"
    "che bestellt. Geliefert wurde bisher nur eine, und bei dieser ist der "
    "Wassertank gerissen. Die zweite sollte laut Ihrer Nachricht bis Freitag eintreffen; heute ist "
    "Dienstag, und der Paketdienst kennt die Sendung nicht. Bitte teilen Sie mir mit, wann die "
    "zweite "
    "Maschine kommt und ob Sie den Tank einzeln ersetzen k\xC3\xB6nnen. Andernfalls m\xC3\xB6"
    "chte "
    "ich beide Ger\xC3\xA4te zur\xC3\xBC"
    "ckgeben und den Kaufpreis erstattet bekommen.\n\n"
    "Mit freundlichen Gr\xC3\xBC\xC3\x9F"
    "en\nJens Albrecht\n\n"
    "Interne Notiz: Der Kunde hat recht, die zweite Maschine liegt noch im Lager, weil die Adresse "
    "im Auftrag unvollst\xC3\xA4ndig war. Versand heute noch ansto\xC3\x9F"
    "en, Ersatztank kostenlos "
    "beilegen und den Kunden bis morgen Mittag anrufen. Die Gutschrift \xC3\xBC"
    "ber die "
    "Versandkosten hat die Buchhaltung bereits freigegeben.\n",
};
