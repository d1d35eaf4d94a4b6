-- SPDX-License-Identifier: Apache-2.0
-- In which languages tickets come: `inhouse doctor` holds it against what the loaded models hold.
-- owner: answer/learn
CREATE TABLE ticket_language (
    day  INTEGER NOT NULL, -- days since 1970, UTC
    lang TEXT    NOT NULL, -- as answer/check says it: "en", "de", "und"
    n    INTEGER NOT NULL,
    PRIMARY KEY (day, lang)
);
