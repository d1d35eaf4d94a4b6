#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official openai client against a real server: openai_test.py fake|models.

fake: the deterministic engine, no model needed. models: SmolLM2 and MiniLM, sealed workers. Runs in the environment
that `tools/setup test` makes; without it, or without the executables or the models, it says so and exits 77.
"""
import base64
import json
import math
import os
import signal
import struct
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import house  # noqa: E402

CLIENT = house.FETCHED / "venv-test" / "bin" / "python"
SCHEMA = {
    "type": "object",
    "properties": {"queue": {"type": "string", "enum": ["billing", "access", "hardware"]},
                   "urgent": {"type": "boolean"}},
    "required": ["queue", "urgent"],
    "additionalProperties": False,
}
ASK = [{"role": "system", "content": "You sort support tickets."},
       {"role": "user", "content": "My invoice of March is wrong, I was charged twice. Please help."}]


class Served(unittest.TestCase):
    """Everything that must hold whatever the engine; the server is started once for the class."""
    engine = None

    @classmethod
    def setUpClass(cls):
        if cls.engine is None:
            raise unittest.SkipTest("skipped: a base of the tests, not a test")
        import openai
        cls.openai = openai
        cls.house = house.House(cls.engine)
        cls.house.__enter__()
        cls.client = openai.OpenAI(base_url=cls.house.url + "/v1", api_key=cls.house.key, max_retries=0, timeout=120)

    @classmethod
    def tearDownClass(cls):
        if cls.engine is not None:
            code = cls.house.stop()
            cls.house.__exit__()
            if code != 0:
                raise AssertionError(f"the server ended with {code} on SIGTERM")

    def failing(self, kind, function, *arguments, **named):
        with self.assertRaises(kind) as caught:
            function(*arguments, **named)
        error = caught.exception
        self.assertTrue(error.message)
        self.assertIsInstance(error.body, dict)
        return error

    def chat(self, **named):
        named.setdefault("model", "light")
        named.setdefault("messages", ASK)
        named.setdefault("max_tokens", 24)
        return self.client.chat.completions.create(**named)

    def test_lists_models(self):
        models = list(self.client.models.list())
        self.assertTrue(models)
        for m in models:
            self.assertEqual(m.object, "model")
            self.assertGreater(m.created, 0)
        self.assertEqual(self.client.models.retrieve(models[0].id).id, models[0].id)

    def test_chats(self):
        answer = self.chat()
        choice = answer.choices[0]
        self.assertEqual(choice.message.role, "assistant")
        self.assertTrue(choice.message.content.strip())
        self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertGreater(answer.usage.completion_tokens, 0)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(answer.object, "chat.completion")

    def test_streams_the_same_text(self):
        whole = self.chat(temperature=0, seed=7).choices[0].message.content
        pieces, reasons, usage = [], [], None
        for part in self.chat(temperature=0, seed=7, stream=True, stream_options={"include_usage": True}):
            usage = part.usage or usage
            for c in part.choices:
                pieces.append(c.delta.content or "")
                reasons += [c.finish_reason] if c.finish_reason else []
        self.assertEqual(len(reasons), 1)
        self.assertIsNotNone(usage)
        self.assertEqual("".join(pieces), whole)

    def test_a_stream_left_early_does_no_harm(self):
        stream = self.chat(stream=True, max_tokens=200)
        next(iter(stream))
        stream.close()
        self.assertTrue(self.chat().choices[0].message.content)

    def test_strict_json_schema(self):
        wanted = {"type": "json_schema", "json_schema": {"name": "triage", "schema": SCHEMA, "strict": True}}
        answer = self.chat(response_format=wanted, max_tokens=64)
        form = json.loads(answer.choices[0].message.content)
        self.assertEqual(set(form), {"queue", "urgent"})
        self.assertIn(form["queue"], SCHEMA["properties"]["queue"]["enum"])
        self.assertIsInstance(form["urgent"], bool)

    def test_a_scored_schema_has_probabilities(self):
        schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "days": {"type": "integer", "minimum": 1, "maximum": 30},
                                           "note": {"type": "string", "maxLength": 40}}}
        wanted = {"type": "json_schema", "json_schema": {"name": "triage", "schema": schema, "scored": True}}
        choice = self.chat(response_format=wanted).choices[0]
        form = json.loads(choice.message.content)
        self.assertEqual(choice.finish_reason, "stop")
        self.assertIn(form["queue"], SCHEMA["properties"]["queue"]["enum"])
        fields = choice.model_extra["fields"]
        self.assertEqual([f["name"] for f in fields], ["queue", "urgent", "days", "note"])
        for field in fields:
            self.assertEqual(field["value"], form[field["name"]])
            self.assertTrue(0 < field["probability"] <= 1)
        self.assertEqual(set(fields[0]["probabilities"]), set(SCHEMA["properties"]["queue"]["enum"]))
        self.assertEqual(set(fields[1]["probabilities"]), {"true", "false"})
        self.assertAlmostEqual(sum(fields[0]["probabilities"].values()), 1, places=3)
        self.assertAlmostEqual(fields[0]["probabilities"][form["queue"]], fields[0]["probability"], places=3)
        self.failing(self.openai.BadRequestError, self.chat, response_format=wanted, stream=True)
        schema["properties"]["tags"] = {"type": "array"}
        error = self.failing(self.openai.BadRequestError, self.chat, response_format=wanted)
        self.assertEqual(error.code, "unsupported")
        self.assertIn("#/properties/tags", error.message)

    def test_strict_json_schema_through_parse(self):
        import enum
        import pydantic

        class Queue(enum.Enum):
            billing = "billing"
            access = "access"

        class Triage(pydantic.BaseModel):
            queue: Queue
            urgent: bool

        answer = self.client.chat.completions.parse(model="light", messages=ASK, max_tokens=64, response_format=Triage)
        self.assertIsInstance(answer.choices[0].message.parsed, Triage)

    def test_embeddings(self):
        texts = ["I cannot log in", "I can't sign in to my account", "The printer on floor two is jammed"]
        answer = self.client.embeddings.create(model="embed", input=texts)
        rows = [d.embedding for d in answer.data]
        self.assertEqual([d.index for d in answer.data], [0, 1, 2])
        self.assertEqual({len(r) for r in rows}, {384})
        for r in rows:
            self.assertAlmostEqual(math.sqrt(sum(x * x for x in r)), 1.0, places=3)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        return rows

    def test_embeddings_as_base64_are_the_same_numbers(self):
        text = "I cannot log in"
        floats = self.client.embeddings.create(model="embed", input=text, encoding_format="float").data[0].embedding
        raw = self.client.embeddings.with_raw_response.create(model="embed", input=text, encoding_format="base64")
        data = base64.b64decode(json.loads(raw.text if isinstance(raw.text, str) else raw.text())["data"][0]["embedding"])
        for a, b in zip(floats, struct.unpack(f"<{len(data) // 4}f", data), strict=True):
            self.assertAlmostEqual(a, b, places=5)

    def test_a_wrong_key_is_401(self):
        stranger = self.client.with_options(api_key="ik_" + "0" * 64)
        error = self.failing(self.openai.AuthenticationError, stranger.models.list)
        self.assertEqual((error.status_code, error.code), (401, "unauthenticated"))

    def test_an_unknown_model_is_404(self):
        error = self.failing(self.openai.NotFoundError, self.chat, model="no-such-model")
        self.assertEqual(error.code, "not_found")
        self.assertIn("no-such-model", error.message)
        self.failing(self.openai.NotFoundError, self.client.models.retrieve, "no-such-model")

    def test_a_bad_request_is_400_and_names_the_parameter(self):
        error = self.failing(self.openai.BadRequestError, self.chat, temperature=9)
        self.assertEqual(error.param, "temperature")
        error = self.failing(self.openai.BadRequestError, self.chat, messages=[])
        self.assertEqual(error.param, "messages")
        error = self.failing(self.openai.BadRequestError, self.chat, messages=[{"role": "wizard", "content": "x"}])
        self.assertEqual(error.code, "bad_request")

    def test_what_is_not_supported_is_said_by_name(self):
        error = self.failing(self.openai.BadRequestError, self.chat, n=3)
        self.assertEqual((error.param, error.code), ("n", "unsupported"))

    def test_answers_carry_a_request_id(self):
        raw = self.client.chat.completions.with_raw_response.create(model="light", messages=ASK, max_tokens=8)
        self.assertTrue(raw.headers.get("x-request-id"))


class Fake(Served):
    engine = "fake"

    def test_a_worker_that_dies_is_replaced(self):
        error = self.failing(self.openai.APIStatusError, self.chat,
                             messages=[{"role": "user", "content": "please %%crash%% now"}])
        self.assertEqual(error.code, "poison_request")
        self.assertTrue(self.chat().choices[0].message.content)


class Models(Served):
    engine = "llama"

    def test_embeddings_know_what_is_alike(self):
        same, alike, other = self.test_embeddings()
        self.assertGreater(sum(a * b for a, b in zip(same, alike)), 0.6)
        self.assertLess(sum(a * b for a, b in zip(same, other)), 0.4)

    def allow_raw_grammars(self, on):
        text = self.house.config.read_text().replace("  raw_grammar: true\n", "")
        self.house.config.write_text(text.replace("engine:\n", "engine:\n  raw_grammar: true\n") if on else text)
        self.house.server.send_signal(signal.SIGHUP)

    def test_raw_grammars_when_the_operator_allows_them(self):
        grammar = {"extra_body": {"grammar": 'root ::= "billing" | "access"'}}
        tags = {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2, "uniqueItems": True}
        beyond = {"type": "json_schema", "json_schema": {"name": "tags", "schema": tags}}
        error = self.failing(self.openai.BadRequestError, self.chat, **grammar)
        self.assertEqual((error.param, error.code), ("grammar", "unsupported"))
        self.assertIn("engine.raw_grammar", error.message)
        self.failing(self.openai.BadRequestError, self.chat, response_format=beyond)
        self.allow_raw_grammars(True)
        try:
            answer = None
            for _ in range(100):
                try:
                    answer = self.chat(**grammar)
                    break
                except self.openai.BadRequestError:
                    time.sleep(0.05)  # the signal is not read yet
            self.assertIn(answer.choices[0].message.content, ("billing", "access"))
            found = json.loads(self.chat(response_format=beyond).choices[0].message.content)
            self.assertTrue(1 <= len(found) <= 2 and set(found) <= {"a", "b"})
            self.failing(self.openai.BadRequestError, self.chat, extra_body={"grammar": "root ::= ("})
        finally:
            self.allow_raw_grammars(False)
        self.assertTrue(self.chat().choices[0].message.content)

    def test_the_same_seed_gives_the_same_text(self):
        first, second = (self.chat(temperature=0.8, seed=3).choices[0].message.content for _ in range(2))
        self.assertEqual(first, second)


def unable(engine):
    """Why this cannot run here, or None."""
    for program in ("inhoused", "inhouse-worker") + (("inhouse",) if engine == "models" else ()):
        if not (house.BUILD / "bin" / program).is_file():
            return f"{program} is not built in {house.BUILD}/bin"
    if not CLIENT.exists():
        return "the openai client is not set up: tools/setup test"
    if engine == "models":
        for path in (house.LIGHT, house.EMBED):
            if not path.exists():
                return f"{path.name} is not there: tools/setup models-small"
    return None


if __name__ == "__main__":
    which = sys.argv.pop(1) if len(sys.argv) > 1 else "fake"
    why = unable(which)
    if why:
        print(f"skipped: {why}")
        sys.exit(77)
    if Path(sys.prefix).resolve() != CLIENT.parent.parent.resolve():
        os.execv(CLIENT, [str(CLIENT), __file__, which, *sys.argv[1:]])
    chosen = {"fake": Fake, "models": Models}[which]
    suite = unittest.TestLoader().loadTestsFromTestCase(chosen)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() else 1)
