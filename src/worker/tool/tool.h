/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/tool: jobs that read a model's files, run as `inhouse-worker --tool NAME ...` in a process
 * of their own.
 *
 *   import --in FOLDER --out EMPTY_FOLDER [--type f16|f32]
 *       a sentence-transformers BERT folder becomes EMPTY_FOLDER/model.gguf
 *   check --in FILE
 *       does llama.cpp itself load this GGUF?
 *   quantize --in FILE --out EMPTY_FOLDER --type Q4_0|Q8_0|...
 *       llama.cpp's own quantiser makes EMPTY_FOLDER/model.gguf
 *   measure --in FILE --plan JSON
 *       how fast is it here, with these options? (measure.c)
 *   compare --in FILE --against ORIGINAL [--plan JSON]
 *       how far are its next-token distributions from the original's? (compare.c)
 *
 * The files are opened first, then a child seals itself (no network, no file system, no writing but
 * into pipes; `quantize` alone may open its input and make files in its output folder) and parses;
 * the process that started it only relays bytes. So a hostile file reaches only descriptors that
 * were opened for it. Nothing is renamed
 * here: the caller gives `import` an empty output folder of its own and throws it away when the job
 * fails.
 *
 * Output: one JSON object a line on stdout.
 *   {"event":"progress","done":bytes,"total":bytes}
 *   {"event":"done", ...facts}                           last line, exit status 0
 *   {"event":"error","code":..,"message":..,"hint":..}   last line, exit status 1
 * Exit status 2: the command line is wrong.
 *
 * Owns: nothing that outlives the process. Threads: one (llama.cpp's loader may add its own in
 * `check`).
 * Limits: TOOL_TEXT_MAX for each JSON or text file, TOOL_HEADER_MAX for a safetensors header, 512
 * layers, 1,048,576 vocabulary entries. The import is deterministic: the same folder gives the same
 * bytes, every time.
 * Known: the engine's WordPiece agrees with the original tokenizer but for Hangul, for scripts with
 * spacing vowel signs (Devanagari, Bengali) and for words over 100 characters, whose vectors
 * therefore differ.
 */
#pragma once

#include <stdint.h>

#include "base/fail/fail.h"

#define TOOL_TEXT_MAX (32u * 1024u * 1024u)
#define TOOL_HEADER_MAX (16u * 1024u * 1024u)

/* What a sealed job may still reach by path. */
struct tool_reach {
    int in_file;    /* readable */
    int out_folder; /* files may be made in it */
    uint64_t out_bytes_max;
};
/* Closes the process in; called once, in the child that parses, when every file is open and nothing
   of it has been read. reach NULL: no path at all. */
typedef enum fail (*tool_seal_fn)(const struct tool_reach *reach, struct fault *why);

/* Runs the job that argv names (argv[0] is "import", "check", ...); returns the exit status.
   Blocks. engine_dir holds the engine's CPU backends. */
int tool_main(int argc, char **argv, const char *engine_dir, tool_seal_fn seal);
