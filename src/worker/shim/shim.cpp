/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/shim, the only C++ of the project. Each function is one try block around calls into
 * llama.cpp's `common`.
 * Owns: shim_chat, shim_prompt, strings made with strdup. Threads: one. Never: lets an exception
 * out.
 */
extern "C" {
#include "worker/shim/shim.h"
}

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "build-info.h"
#include "chat.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"
#include "json-schema-to-grammar.h"
#include "json.h"
#include "llama.h"
#include "log.h"

struct shim_chat {
    common_chat_templates_ptr templates;
};

struct shim_prompt {
    common_chat_params params;
    common_chat_parser_params parser;
    bool parses = false;
    bool must_call = false;
};

namespace
{

/* Runs body; an exception becomes `code` with its first line. */
template <typename F>
enum fail guarded(struct fault *why, enum fail code, const char *doing, F body)
{
    try {
        return body();
    } catch (const std::exception &e) {
        std::string reason(e.what());
        reason = reason.substr(0, reason.find('\n')).substr(0, 160);
        return FAULT(why, code, "%s: %s", doing, reason.c_str());
    } catch (...) {
        return FAULT(why, code, "%s failed", doing);
    }
}

enum fail give(const std::string &text, char **out, struct fault *why)
{
    if (text.size() > SHIM_OUTPUT_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a template's text of %zu bytes, more than %u",
                     text.size(), SHIM_OUTPUT_MAX);
    }
    *out = strdup(text.c_str());
    return *out == nullptr ? FAULT(why, FAIL_INTERNAL, "out of memory") : FAIL_NONE;
}

std::string escape_regex(const std::string &text)
{
    std::string out;
    for (char c : text) {
        if (std::strchr(".^$|()*+?[]{}\\", c) != nullptr) {
            out.push_back('\\');
        }
        out.push_back(c);
    }
    return out;
}

/*
 * A required call's grammar lets the model talk before it calls, without end: small ones never get
 * there. Takes the optional talk (a rule "until-N?") out of the root rule.
 */
std::string without_talk(std::string grammar)
{
    size_t root = grammar.find("root ::= ");
    size_t end = root == std::string::npos ? root : grammar.find('\n', root);
    size_t talk = root == std::string::npos ? root : grammar.find(" until-", root);
    if (talk != std::string::npos && talk < end) {
        size_t after = grammar.find_first_not_of("0123456789", talk + std::strlen(" until-"));
        if (after != std::string::npos && grammar[after] == '?') {
            grammar.erase(talk, after + 1 - talk);
        }
    }
    return grammar;
}

common_chat_templates_inputs read_inputs(const common_json &request)
{
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
        if (request.contains("tool_choice")) {
            inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(
                request.at("tool_choice").get<std::string>());
        }
    }
    if (request.contains("template_vars")) {
        for (const auto &[key, value] : request.at("template_vars").items()) {
            inputs.chat_template_kwargs[key] = value.dump();
        }
    }
    if (request.contains("now")) {
        inputs.now = std::chrono::system_clock::from_time_t(
            (std::time_t)request.at("now").get<int64_t>());
    }
    inputs.use_jinja = true;
    inputs.add_generation_prompt = true;
    return inputs;
}

} /* namespace */

extern "C" {

void shim_quiet(void)
{
    common_log_set_verbosity_thold(-1);
    common_log_pause(common_log_main());
}

const char *shim_build(void)
{
    return llama_build_info();
}

void shim_free(char *text)
{
    std::free(text);
}

enum fail shim_chat_open(const struct llama_model *model, const char *override,
                         struct shim_chat **out, struct fault *why)
{
    *out = nullptr;
    return guarded(why, FAIL_BAD_REQUEST, "chat template", [&] {
        auto chat = new shim_chat;
        try {
            chat->templates =
                common_chat_templates_init(model, override == nullptr ? "" : override);
        } catch (...) {
            delete chat;
            throw;
        }
        *out = chat;
        return FAIL_NONE;
    });
}

void shim_chat_close(struct shim_chat *chat)
{
    delete chat;
}

enum fail shim_chat_render(const struct shim_chat *chat, const char *request,
                           struct shim_prompt **out, struct fault *why)
{
    *out = nullptr;
    return guarded(why, FAIL_BAD_REQUEST, "the chat template refused the messages", [&] {
        auto inputs = read_inputs(common_json::parse(request));
        auto prompt = std::make_unique<shim_prompt>();
        prompt->params = common_chat_templates_apply(chat->templates.get(), inputs);
        if (prompt->params.prompt.size() > SHIM_OUTPUT_MAX) {
            return FAULT(why, FAIL_TOO_LARGE, "a prompt of %zu bytes, more than %u",
                         prompt->params.prompt.size(), SHIM_OUTPUT_MAX);
        }
        prompt->parser = common_chat_parser_params(prompt->params);
        prompt->parser.reasoning_format = inputs.reasoning_format;
        if (!prompt->params.parser.empty() && !inputs.tools.empty()) {
            prompt->parser.parser.load(prompt->params.parser);
            prompt->parses = true;
            prompt->must_call = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
        }
        *out = prompt.release();
        return FAIL_NONE;
    });
}

void shim_prompt_close(struct shim_prompt *prompt)
{
    delete prompt;
}

const char *shim_prompt_text(const struct shim_prompt *prompt)
{
    return prompt->params.prompt.c_str();
}

bool shim_prompt_has_grammar(const struct shim_prompt *prompt)
{
    return prompt->parses && !prompt->params.grammar.empty();
}

size_t shim_prompt_stops(const struct shim_prompt *prompt)
{
    return prompt->params.additional_stops.size();
}

const char *shim_prompt_stop(const struct shim_prompt *prompt, size_t i)
{
    return prompt->params.additional_stops.at(i).c_str();
}

enum fail shim_prompt_parse(const struct shim_prompt *prompt, const char *text, char **json,
                            struct fault *why)
{
    *json = nullptr;
    return guarded(why, FAIL_INTERNAL, "the model's answer does not parse", [&] {
        common_json out = common_json::object();
        if (!prompt->parses) {
            out["content"] = text;
        } else {
            auto message = common_chat_parse(text, false, prompt->parser);
            out["content"] = message.content;
            if (!message.tool_calls.empty()) {
                auto calls = common_json::array();
                for (const auto &call : message.tool_calls) {
                    calls.push_back(common_json::object(
                        {{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}}));
                }
                out["tool_calls"] = calls;
            }
        }
        return give(out.dump(), json, why);
    });
}

enum fail shim_template_render(const char *text, const char *vars, int64_t now, char **out,
                               struct fault *why)
{
    *out = nullptr;
    return guarded(why, FAIL_BAD_REQUEST, "template", [&] {
        jinja::lexer lexer;
        auto lexed = lexer.tokenize(text);
        auto program = jinja::parse_from_tokens(lexed);
        jinja::context context(lexed.source);
        if (now != 0) {
            context.current_time = (std::time_t)now;
        }
        jinja::global_from_json(context, common_json::parse(vars), false);
        jinja::runtime runtime(context);
        auto parts = jinja::runtime::gather_string_parts(runtime.execute(program));
        return give(jinja::render_string_parts(parts), out, why);
    });
}

enum fail shim_schema_grammar(const char *schema, char **gbnf, struct fault *why)
{
    *gbnf = nullptr;
    return guarded(why, FAIL_UNSUPPORTED, "JSON schema", [&] {
        return give(json_schema_to_grammar(common_json::parse(schema)), gbnf, why);
    });
}

enum fail shim_grammar_open(const struct llama_vocab *vocab, const char *gbnf,
                            struct llama_sampler **out, struct fault *why)
{
    *out = nullptr;
    return guarded(why, FAIL_BAD_REQUEST, "grammar", [&] {
        *out = llama_sampler_init_grammar(vocab, gbnf, "root");
        return *out == nullptr ? FAULT(why, FAIL_BAD_REQUEST, "the grammar does not parse")
                               : FAIL_NONE;
    });
}

enum fail shim_prompt_grammar(const struct shim_prompt *prompt, const struct llama_vocab *vocab,
                              struct llama_sampler **out, struct fault *why)
{
    *out = nullptr;
    return guarded(why, FAIL_INTERNAL, "grammar of the tools", [&] {
        const auto &params = prompt->params;
        std::vector<std::string> patterns;
        std::vector<llama_token> tokens;
        for (const auto &trigger : params.grammar_triggers) {
            switch (trigger.type) {
            case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN:
                tokens.push_back(trigger.token);
                break;
            case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:
                patterns.push_back(escape_regex(trigger.value));
                break;
            case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:
                patterns.push_back(trigger.value);
                break;
            case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
                patterns.push_back("^" + trigger.value + "$");
                break;
            }
        }
        std::vector<const char *> names;
        for (const auto &pattern : patterns) {
            names.push_back(pattern.c_str());
        }
        std::string grammar =
            prompt->must_call ? without_talk(params.grammar) : params.grammar;
        *out = params.grammar_lazy
                   ? llama_sampler_init_grammar_lazy_patterns(vocab, grammar.c_str(), "root",
                                                              names.data(), names.size(),
                                                              tokens.data(), tokens.size())
                   : llama_sampler_init_grammar(vocab, grammar.c_str(), "root");
        if (*out == nullptr) {
            return FAULT(why, FAIL_INTERNAL, "the tools' grammar does not parse");
        }
        /* An eager grammar describes the turn from its start, which the template has written
           already. */
        if (!params.grammar_lazy && !params.generation_prompt.empty()) {
            for (llama_token token :
                 common_tokenize(vocab, params.generation_prompt, false, true)) {
                llama_sampler_accept(*out, token);
            }
        }
        return FAIL_NONE;
    });
}

void shim_grammar_close(struct llama_sampler *grammar)
{
    if (grammar != nullptr) {
        llama_sampler_free(grammar);
    }
}

enum fail shim_grammar_apply(struct llama_sampler *grammar,
                             struct llama_token_data_array *candidates, struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "grammar", [&] {
        llama_sampler_apply(grammar, candidates);
        return FAIL_NONE;
    });
}

enum fail shim_grammar_accept(struct llama_sampler *grammar, int32_t token, struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "grammar", [&] {
        llama_sampler_accept(grammar, token);
        return FAIL_NONE;
    });
}

enum fail shim_decode(struct llama_context *context, const struct llama_batch *batch, int *rc,
                      struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "decode", [&] {
        *rc = llama_decode(context, *batch);
        return FAIL_NONE;
    });
}

enum fail shim_encode(struct llama_context *context, const struct llama_batch *batch, int *rc,
                      struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "encode", [&] {
        *rc = llama_encode(context, *batch);
        return FAIL_NONE;
    });
}

enum fail shim_state_size(struct llama_context *context, int seq, size_t *bytes, struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "state size", [&] {
        *bytes = llama_state_seq_get_size(context, seq);
        return FAIL_NONE;
    });
}

enum fail shim_state_get(struct llama_context *context, int seq, uint8_t *out, size_t bytes,
                         struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "state get", [&] {
        size_t n = llama_state_seq_get_data(context, out, bytes, seq);
        return n == bytes ? FAIL_NONE
                          : FAULT(why, FAIL_INTERNAL, "a state of %zu bytes, not %zu", n, bytes);
    });
}

enum fail shim_state_set(struct llama_context *context, int seq, const uint8_t *state, size_t bytes,
                         struct fault *why)
{
    return guarded(why, FAIL_INTERNAL, "state set", [&] {
        size_t n = llama_state_seq_set_data(context, state, bytes, seq);
        return n == bytes ? FAIL_NONE
                          : FAULT(why, FAIL_INTERNAL, "llama.cpp took %zu of a state's %zu bytes",
                                  n, bytes);
    });
}

} /* extern "C" */
