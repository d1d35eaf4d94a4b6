/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcld2 behind one C function (decision 0020): it has a C++ API only. Nothing throws here.
 * Threads: cld2's detector keeps no state between calls.
 */
#include <cstdio>
#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

extern "C" bool check_cld2(const char *text, int len, char code[8], double *percent,
                           bool *reliable);

extern "C" bool check_cld2(const char *text, int len, char code[8], double *percent, bool *reliable)
{
    CLD2::CLDHints hints = {nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
    CLD2::Language found[3];
    int percents[3], text_bytes = 0, valid = 0;
    double scores[3];
    bool sure = false;
    CLD2::Language best = CLD2::ExtDetectLanguageSummaryCheckUTF8(
        text, len, true, &hints, 0, found, percents, scores, nullptr, &text_bytes, &sure, &valid);
    std::snprintf(code, 8, "%s", CLD2::LanguageCode(best));
    *percent = percents[0] / 100.0;
    *reliable = sure;
    return best != CLD2::UNKNOWN_LANGUAGE && valid == len;
}
