/* SPDX-License-Identifier: Apache-2.0 */
/* The way through, on the fake engine with a real store and log: articles in, learning, forms,
   reuse, chats, embeddings, and that nothing is answered without its record. */
#include "answer/task/task.h"

#include "answer/certify/certify.h"
#include "answer/dataset/dataset.h"
#include "answer/task/task_fixture_internal.h"

/* Drafts are made for who may read the dataset. */
static enum fail help_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct dataset_about d = {.name = "help", .purpose = "a test", .label = SECRECY_INTERNAL};
    (void)arg;
    (void)text_copy(d.owner.name, sizeof(d.owner.name), me.team);
    return dataset_add(tx, audit, &me, &d, why);
}

static void articles_are_checked_stored_and_embedded(void **state)
{
    (void)state;
    struct fault why;
    assert_int_equal(store_write_wait(store, help_write, NULL, &why), FAIL_NONE);
    static const char a[] =
        "---\nid: refund\ntitle: Refunds\nlang: en\nqueue: billing\n---\n"
        "To get a refund, open Orders and choose Refund. We pay within 5 days.\n";
    static const char b[] =
        "---\nid: login\ntitle: Sign in\nlang: en\nqueue: account\n---\n"
        "To reset your password, open the sign-in page and choose Forgot password.\n";
    struct task_article articles[] = {{"refund.md", a, sizeof(a) - 1},
                                      {"login.md", b, sizeof(b) - 1}};
    task_articles_put(desk, &me, "help", articles, 2, on_progress, on_job, &me);
    run();
    assert_string_equal(last_why, "");
    assert_non_null(strstr(report, "\"articles\":2"));
    struct task_article bad[] = {{"bad.md", "---\nno front matter end", 22}};
    task_articles_put(desk, &me, "help", bad, 1, on_progress, on_job, &me);
    run();
    assert_int_equal(last_code, FAIL_BAD_REQUEST);
    assert_non_null(strstr(last_why, "bad.md"));
}

static void before_learning_a_person_decides(void **state)
{
    (void)state;
    int before = waiting_artifacts;
    submit("Please refund my order, I paid twice.", NULL);
    run();
    assert_int_equal(last_code, FAIL_NONE);
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    assert_string_equal(field_str("priority", "rung"), "person");
    assert_non_null(field_str("priority", "value")); /* the light model's proposal */
    assert_string_equal(field_str("language", "value"), "en");
    assert_true(last_leaf >= 0);
    assert_int_equal(waiting_artifacts, before + 1);
}

static void learning_makes_heads_and_evidence(void **state)
{
    (void)state;
    enum { N = 60 };
    static char ids[N][16], texts[N][128];
    static const char *values[N][5];
    static struct task_example examples[N];
    for (int i = 0; i < N; i++) {
        bool refund = i % 2 == 0;
        snprintf(ids[i], sizeof(ids[i]), "P%d", i);
        snprintf(texts[i], sizeof(texts[i]),
                 refund ? "I want my money back for order number %d please refund"
                        : "I cannot sign in, the password %d is wrong, please reset", i * 7);
        values[i][0] = refund ? "billing" : "account";
        values[i][1] = refund ? "high" : "low";
        examples[i] = (struct task_example){.id = ids[i], .text = texts[i], .values = values[i],
                                            .article = refund ? "refund" : "login"};
    }
    task_learn(desk, &me, "triage", examples, N, 5, true, on_progress, on_job, &me);
    run();
    assert_string_equal(last_why, "");
    assert_non_null(strstr(report, "\"light\""));
    assert_non_null(strstr(report, "\"learned\""));
    submit("I want my money back for order number 9911 please refund", NULL);
    run();
    assert_string_equal(field_str("queue", "value"), "billing");
    assert_string_equal(field_str("queue", "proposed_by"), "learned");
    assert_string_equal(field_str("queue", "rung"), "learned");
    assert_string_equal(field_str("queue", "class"), "provisional");
    assert_int_equal(strncmp(field_str("queue", "certificate"), "crt_", 4), 0);
}

static bool count_certificate(void *arg, const struct certify_certificate *c)
{
    int *n = arg;
    n[c->state]++;
    assert_string_equal(c->workflow, "triage");
    return true;
}

static enum fail void_all(struct store_tx *tx, void *arg, struct fault *why)
{
    static const struct certify_releases other = {.model = "another", .head = "another"};
    int64_t n = 0;
    enum fail f = certify_void(tx, audit, "triage", NULL, "learned", &other, "a test", "tester",
                               "default", &n, why);
    *(int64_t *)arg = n;
    return f;
}

static void without_its_certificate_a_rung_only_proposes(void **state)
{
    (void)state;
    struct store_conn *conn = NULL;
    struct fault why;
    int states[CERTIFY_STATE_COUNT] = {0};
    int64_t voided = 0;
    assert_int_equal(store_reader_open(store, &conn, &why), FAIL_NONE);
    assert_int_equal(certify_each(conn, "triage", true, count_certificate, states, &why),
                     FAIL_NONE);
    store_reader_close(conn);
    assert_true(states[CERTIFY_LIVE] > 0);
    assert_int_equal(store_write_wait(store, void_all, &voided, &why), FAIL_NONE);
    assert_true(voided > 0);
    task_certificates_changed(desk, "triage");
    submit("I want my money back for order number 1234 please refund", NULL);
    run();
    assert_string_equal(field_str("queue", "proposed_by"), "learned");
    assert_string_equal(field_str("queue", "rung"), "person");
    assert_null(field_str("queue", "certificate"));
    learning_makes_heads_and_evidence(state); /* learned anew: certified anew */
}

static void the_same_question_is_reused(void **state)
{
    (void)state;
    submit("I cannot sign in, the password 77 is wrong, please reset", NULL);
    run();
    assert_string_equal(json_string_value(json_object_get(last, "state")), "done");
    char first[64];
    snprintf(first, sizeof(first), "%s", field_str("queue", "value"));
    submit("I cannot sign in, the password 77 is wrong, please reset", NULL);
    run();
    assert_string_equal(field_str("queue", "rung"), "reuse");
    assert_string_equal(field_str("queue", "value"), first);
}

static void an_idempotency_key_gives_the_same_answer(void **state)
{
    (void)state;
    submit("My money back now", "key-1");
    run();
    int64_t leaf = last_leaf;
    submit("My money back now", "key-1");
    run();
    assert_int_equal(last_leaf, leaf);
    submit("Something else", "key-1");
    run();
    assert_int_equal(last_code, FAIL_IDEMPOTENCY_MISMATCH);
}

static enum fail age_keys(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE task SET created_at = created_at - 86400000000 WHERE idem_key IS NOT NULL");
    return store_run(s, why);
}

static void an_idempotency_key_lasts_a_day(void **state)
{
    (void)state;
    struct fault why;
    submit("How long is a key kept?", "key-day");
    run();
    int64_t leaf = last_leaf;
    assert_int_equal(store_write_wait(store, age_keys, NULL, &why), FAIL_NONE);
    submit("Another question after a day", "key-day");
    run();
    assert_int_equal(last_code, FAIL_NONE);
    assert_true(last_leaf > leaf);
}

static void put_form_with_stakes(void)
{
    struct ladder_form *form = make_form();
    snprintf(form->name, sizeof(form->name), "watched");
    form->stakes = 1u << ROUTE_STAKE_DANGER | 1u << ROUTE_STAKE_REFUND_ABOVE;
    form->refund_above = 500;
    task_form_set(desk, form);
    ladder_form_unref(form);
}

static void submit_to(const char *workflow, const char *text)
{
    struct task_request r = {
        .kind = TASK_FORM, .who = me, .workflow = workflow, .text = text, .on_done = on_form};
    pending = 1;
    task_submit(desk, &r);
}

static void stakes_and_bad_input_are_told(void **state)
{
    (void)state;
    submit("My lawyer wants the refund. I want my money back.", NULL);
    run();
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(last, "stake"), "name")), "phrase");
    put_form_with_stakes();
    submit_to("watched", "Hello.\n\nThe kettle gave me an electric shock, and more.");
    run();
    const json_t *stake = json_object_get(last, "stake");
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    assert_string_equal(json_string_value(json_object_get(stake, "name")), "danger");
    assert_int_equal(json_integer_value(json_object_get(stake, "from")), 30);
    assert_int_equal(json_integer_value(json_object_get(stake, "to")), 44);
    submit_to("watched", "I want the 1,200 euros back, refund me.");
    run();
    stake = json_object_get(last, "stake");
    assert_string_equal(json_string_value(json_object_get(stake, "name")), "refund_above");
    submit_to("watched", "I want the 12 euros back, refund me.");
    run();
    assert_true(json_is_null(json_object_get(last, "stake")));
    submit("", NULL);
    run();
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    submit("bad \xff bytes", NULL);
    run();
    assert_int_equal(last_code, FAIL_BAD_REQUEST);
    struct task_request r = {
        .kind = TASK_FORM, .who = me, .workflow = "none", .text = "x", .on_done = on_form};
    pending = 1;
    task_submit(desk, &r);
    run();
    assert_int_equal(last_code, FAIL_NOT_FOUND);
    submit("%%crash%% I want my money", NULL); /* ends the worker twice: the others live */
    run();
    assert_int_equal(last_code, FAIL_NONE);
}

static char chat[4096];
static enum fail chat_code;
static size_t streamed;

static void on_chat_text(void *arg, const char *text, size_t len)
{
    (void)arg;
    (void)text;
    streamed += len;
}

static void on_chat(void *arg, const struct task_result *r)
{
    (void)arg;
    chat_code = r->code;
    if (r->generated != NULL) {
        snprintf(chat, sizeof(chat), "%s", r->generated->text);
    }
    last_leaf = r->record_seq;
    loop_stop(loop);
}

static void chats_are_streamed_and_recorded(void **state)
{
    (void)state;
    static const char ask[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"stream\":true}";
    struct task_request r = {.kind = TASK_CHAT, .who = me, .model = "light", .ask_json = ask,
                             .ask_len = sizeof(ask) - 1, .stream = true, .on_text = on_chat_text,
                             .on_done = on_chat};
    task_submit(desk, &r);
    run();
    assert_int_equal(chat_code, FAIL_NONE);
    assert_int_equal(streamed, strlen(chat));
    assert_true(last_leaf > 0);
    r.model = "no-such";
    task_submit(desk, &r);
    run();
    assert_int_equal(chat_code, FAIL_NOT_FOUND);
    r.model = "embed";
    task_submit(desk, &r);
    run();
    assert_int_equal(chat_code, FAIL_BAD_REQUEST);
}

static void on_embed(void *arg, const struct task_result *r)
{
    size_t *n = arg;
    *n = r->code == FAIL_NONE ? r->vectors_len * r->dim : 0;
    loop_stop(loop);
}

static void embeddings_come_in_chunks(void **state)
{
    (void)state;
    static const char *texts[150];
    size_t n = 0;
    for (int i = 0; i < 150; i++) {
        texts[i] = "some text";
    }
    struct task_request r = {.kind = TASK_EMBED, .who = me, .model = "embed", .texts = texts,
                             .texts_len = 150, .on_done = on_embed, .arg = &n};
    task_submit(desk, &r);
    run();
    assert_int_equal(n, 150 * 384);
}

static void reset_counts(void)
{
    ended = cancelled = refused = late = good = 0;
}

static void of_300_at_once_exactly_those_without_room_are_refused(void **state)
{
    (void)state;
    int left = 300;
    reset_counts();
    for (int i = 0; i < 300; i++) {
        submit_as(count_end, &left, "Please refund this", 0);
    }
    run();
    assert_int_equal(refused, 300 - 8 - 75); /* one team has three quarters of the places */
    assert_int_equal(good, 83);
}

static void a_deadline_counts_from_the_beginning(void **state)
{
    (void)state;
    int left = 1;
    reset_counts();
    pending = 1;
    submit_as(on_form, NULL, "%%slow:5000%% what is this about", 300);
    int64_t began = clock_monotonic_us();
    run();
    assert_true(clock_ms_since(began) < 3000);
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    chat_as(&left, "%%slow:5000%%", 200, false);
    run();
    assert_int_equal(late, 1);
    left = 1;
    chat_as(&left, "%%slow:5000%%", 200, true);
    run();
    assert_int_equal(late, 2);
    /* behind eight that run: one form and one chat whose time is over before their turn */
    left = 10;
    for (int i = 0; i < 8; i++) {
        chat_as(&left, "%%slow:200%%", 0, false);
    }
    chat_as(&left, "quick", 60, false);
    submit_as(count_end, &left, "what is this about then", 60);
    reset_counts();
    run();
    assert_int_equal(late, 1);
    assert_int_equal(good, 9);
}

static void cancelling_one_that_waits_ends_it_at_once(void **state)
{
    (void)state;
    int left = 8, one = 3;
    reset_counts();
    for (int i = 0; i < 8; i++) {
        chat_as(&left, "%%slow:200%%", 0, false);
    }
    uint64_t first = submit_as(count_end, &one, "nobody waits for this", 0);
    uint64_t middle = submit_as(count_end, &one, "nor for this", 0);
    uint64_t last_one = submit_as(count_end, &one, "nor that", 0);
    task_cancel(desk, middle);
    task_cancel(desk, last_one);
    task_cancel(desk, first);
    task_cancel(desk, first);
    task_cancel(desk, 987654321);
    run();
    assert_int_equal(cancelled, 3);
    assert_int_equal(left, 8);
    run();
    assert_int_equal(good, 8);
    one = 1; /* one that runs, while its worker is busy with it */
    uint64_t slow = submit_as(count_end, &one, "%%slow:5000%% unasked question", 0);
    loop_timer_add(loop, 300, stop_loop, NULL);
    run();
    task_cancel(desk, slow);
    run();
    assert_int_equal(cancelled, 4);
}

struct pair {
    int left;
    enum fail code[2];
    int64_t leaf[2];
    struct id id[2];
};

static void on_pair(void *arg, const struct task_result *r)
{
    struct pair *p = arg;
    int i = --p->left;
    p->code[i] = r->code;
    p->leaf[i] = r->record_seq;
    p->id[i] = r->task;
    if (i == 0) {
        loop_stop(loop);
    }
}

static struct pair submit_pair(const char *one, const char *other, const char *key)
{
    struct pair p = {.left = 2};
    const char *texts[] = {one, other};
    for (int i = 0; i < 2; i++) {
        struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "triage",
                                 .text = texts[i], .idempotency_key = key, .on_done = on_pair,
                                 .arg = &p};
        task_submit(desk, &r);
    }
    run();
    return p;
}

static void one_key_sent_twice_at_once_has_one_answer(void **state)
{
    (void)state;
    struct pair p = submit_pair("A question of its own", "A question of its own", "twice");
    assert_true(p.code[0] == FAIL_NONE && p.code[1] == FAIL_NONE);
    assert_true(p.leaf[0] >= 0);
    assert_int_equal(p.leaf[0], p.leaf[1]);
    assert_true(text_id_equal(&p.id[0], &p.id[1]));
    p = submit_pair("one thing", "another thing", "clash");
    assert_int_equal(p.code[0] + p.code[1], FAIL_IDEMPOTENCY_MISMATCH);
}

static const struct ladder_evidence *evidence_of(int field, enum ladder_rung rung)
{
    return &task_form_find(desk, "triage")->evidence[field][rung];
}

static char awaited_letter;
static enum fleet_role awaited_role;

static void stop_when_swapped(void *arg)
{
    struct fleet_model m;
    (void)arg;
    fleet_model_get(fleet, awaited_role, &m);
    if (m.state == FLEET_READY && m.sha256[0] == awaited_letter) {
        loop_stop(loop);
    }
}

static void swap(enum fleet_role role, char letter)
{
    awaited_role = role;
    awaited_letter = letter;
    load_as(role, letter);
    fleet_on_change(fleet, stop_when_swapped, NULL);
    run();
    fleet_on_change(fleet, NULL, NULL);
}

static void a_head_says_nothing_on_another_models_vectors(void **state)
{
    (void)state;
    submit("I want my money back for order number 4711 please refund", NULL);
    run();
    assert_string_equal(field_str("queue", "proposed_by"), "learned");
    swap(FLEET_EMBED, 'd');
    submit("I want my money back for order number 4711 please refund", NULL);
    run();
    assert_string_equal(field_str("queue", "rung"), "person"); /* neither learned nor reused */
    swap(FLEET_EMBED, 'a');
    submit("I want my money back for order number 4712 please refund", NULL);
    run();
    assert_string_equal(field_str("queue", "proposed_by"), "learned");
}

static void evidence_of_a_replaced_model_is_void(void **state)
{
    (void)state;
    assert_true(evidence_of(1, LADDER_LIGHT)->n > 0);
    swap(FLEET_LIGHT, 'e');
    submit("What about this one", NULL);
    run();
    assert_int_equal(evidence_of(1, LADDER_LIGHT)->n, 0);
    assert_true(evidence_of(1, LADDER_LEARNED)->n > 0);
}

static void orders_form_set(void)
{
    static const char *const names[] = {"order", "total", "due"};
    static const enum ladder_type types[] = {LADDER_ID, LADDER_AMOUNT, LADDER_DATE};
    struct ladder_form *f = mem_alloc(sizeof(*f));
    f->refs = 1;
    snprintf(f->name, sizeof(f->name), "orders");
    memset(f->release, 'e', 64);
    f->fields_len = 3;
    for (size_t i = 0; i < 3; i++) {
        snprintf(f->fields[i].name, sizeof(f->fields[i].name), "%s", names[i]);
        f->fields[i].type = types[i];
        f->fields[i].max_chars = 80;
        f->fields[i].target_error = 0.1;
        for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
            f->evidence[i][r].threshold = LADDER_UNCERTIFIED;
        }
    }
    f->fields[1].max = mem_dup_str("500");
    task_form_set(desk, f);
    ladder_form_unref(f);
}

static void ask_orders(const char *text)
{
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "orders", .input_id = "O1",
                             .text = text, .rungs = 1u << LADDER_LEARNED | 1u << LADDER_REUSE,
                             .on_done = on_form};
    pending++;
    task_submit(desk, &r);
    run();
    assert_int_equal(last_code, FAIL_NONE);
}

static void values_are_found_in_the_text_and_checked(void **state)
{
    (void)state;
    enum { N = 160 };
    static char ids[N][16], texts[N][160], order[N][16], total[N][24];
    static const char *values[N][3];
    static struct task_example examples[N];
    static const char ask[] = "Order B-77123 of customer C-4 cost 41.20 EUR and is due tomorrow";
    orders_form_set();
    for (int i = 0; i < N; i++) {
        bool none = i % 4 == 3;
        snprintf(ids[i], sizeof(ids[i]), "O%d", i);
        snprintf(order[i], sizeof(order[i]), "B-%d", 1000 + i * 317);
        snprintf(total[i], sizeof(total[i]), "%d.50 EUR", 5 + i);
        snprintf(texts[i], sizeof(texts[i]),
                 none ? "Customer C-%d asks when somebody will call back"
                      : "Order B-%d of customer C-7 cost %d.50 EUR and is due tomorrow",
                 none ? i : 1000 + i * 317, 5 + i);
        values[i][0] = none ? "" : order[i];
        values[i][1] = none ? "" : total[i];
        values[i][2] = none ? "" : "2026-05-02";
        examples[i] = (struct task_example){.id = ids[i], .text = texts[i], .values = values[i],
                                            .at = "2026-05-01T09:00:00Z"};
    }
    task_learn(desk, &me, "orders", examples, N, 3, false, on_progress, on_job, &me);
    run();
    assert_string_equal(last_why, "");
    assert_non_null(strstr(report, "\"found_in_text\":120"));
    ask_orders(ask);
    assert_string_equal(field_str("order", "value"), "B-77123");
    assert_string_equal(field_str("order", "proposed_by"), "learned");
    assert_string_equal(field_str("total", "value"), "41.20 EUR");
    json_t *f = json_array_get(json_object_get(last, "fields"), 0);
    size_t at = (size_t)json_integer_value(json_object_get(f, "at"));
    assert_memory_equal(ask + at, "B-77123", 7);
    char tomorrow[CLOCK_RFC3339_SIZE];
    clock_show(clock_now_us() + 86400 * INT64_C(1000000), tomorrow);
    assert_memory_equal(field_str("due", "value"), tomorrow, 8); /* its month, whatever the zone */
    ask_orders("Customer C-9 asks when somebody will call back");
    assert_string_equal(field_str("order", "value"), "");
    /* Over its bound: kept for a person to see, never decided. */
    ask_orders("Order B-5 of customer C-7 cost 900.50 EUR and is due tomorrow");
    assert_string_equal(field_str("total", "value"), "900.50 EUR");
    assert_string_equal(field_str("total", "rung"), "person");
}

/* A definition has at most 256 labels, but a head may have learned up to 1,000. */
static void more_labels_than_a_form_can_score_are_not_asked_for(void **state)
{
    (void)state;
    static char labels[300][16];
    const char *names[300];
    struct ladder_form *form = make_form();
    for (int i = 0; i < 300; i++) {
        snprintf(labels[i], sizeof(labels[i]), "queue%d", i);
        names[i] = labels[i];
    }
    snprintf(form->name, sizeof(form->name), "wide");
    ladder_labels_set(&form->fields[0], names, 300);
    task_form_set(desk, form);
    ladder_form_unref(form);
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "wide",
                             .text = "something nobody has ever asked about", .on_done = on_form};
    pending = 1;
    task_submit(desk, &r);
    run();
    assert_int_equal(last_code, FAIL_NONE);
    assert_null(field_str("queue", "value"));
    assert_non_null(field_str("priority", "value"));
}

static void a_definition_put_while_learning_stays(void **state)
{
    (void)state;
    static const char *const one[] = {"low", "other"};
    learn_labels(4, 10);
    struct ladder_form *form = make_form();
    memset(form->release, 'e', 64);
    ladder_labels_set(&form->fields[1], one, 2); /* "high" is no label any more */
    form->fields[0].target_error = 0.02;         /* and the queue may be wrong less often */
    loop_timer_add(loop, 1, stop_loop, NULL);
    run();
    task_form_set(desk, form);
    ladder_form_unref(form);
    run();
    assert_string_equal(last_why, "");
    assert_int_equal(task_form_find(desk, "triage")->release[0], 'e');
    assert_true(evidence_of(0, LADDER_LEARNED)->n > 0);
    assert_true(evidence_of(0, LADDER_LEARNED)->threshold > 1);
    submit("thing2 is what I mean 3", NULL); /* learned as high */
    run();
    assert_int_equal(last_code, FAIL_NONE);
    if (field_str("priority", "value") != NULL) {
        assert_string_not_equal(field_str("priority", "value"), "high");
    }
}

static const char *learned_note(const char *text)
{
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "clear", .text = text,
                             .rungs = 1U << LADDER_LEARNED, .no_draft = true, .on_done = on_form};
    pending++;
    task_submit(desk, &r);
    run();
    json_t *step;
    size_t i;
    json_array_foreach(json_object_get(last, "climb"), i, step)
    {
        if (strcmp(json_string_value(json_object_get(step, "rung")), "learned") == 0) {
            const char *note = json_string_value(json_object_get(step, "note"));
            return note == NULL ? "" : note;
        }
    }
    return NULL;
}

static int64_t tokens_in(void)
{
    return json_integer_value(json_object_get(last, "tokens_in"));
}

/* Enough examples for the n-grams to be trusted alone: the model is asked only where they say
   too little. */
static void clear_texts_need_no_embedding(void **state)
{
    (void)state;
    enum { N = 1700 };
    static char ids[N][16], texts[N][48];
    static const char *values[N][5];
    static struct task_example examples[N];
    static const char *const things[] = {"refund money", "money back", "password reset",
                                         "login password"};
    static const char *const others[] = {"today", "please", "again", "quickly", "hello", "now"};
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof(ids[i]), "C%d", i);
        snprintf(texts[i], sizeof(texts[i]), "%s %s %s", others[i / 4 % 6], things[i % 4],
                 others[i / 24 % 6]);
        values[i][0] = i % 4 < 2 ? "billing" : "account";
        values[i][1] = i % 4 < 2 ? "high" : "low";
        examples[i] = (struct task_example){.id = ids[i], .text = texts[i], .values = values[i]};
    }
    struct ladder_form *form = make_form();
    snprintf(form->name, sizeof(form->name), "clear");
    task_form_set(desk, form);
    ladder_form_unref(form);
    task_learn(desk, &me, "clear", examples, N, 3, false, on_progress, on_job, &me);
    run();
    assert_string_equal(last_why, "");
    assert_string_equal(learned_note("please refund money now"),
                        "by its words alone, no embedding was needed");
    assert_int_equal(tokens_in(), 0);
    assert_string_equal(field_str("queue", "value"), "billing");
    assert_string_equal(field_str("priority", "value"), "high");
    assert_string_equal(field_str("queue", "rung"), "learned");
    assert_string_not_equal(learned_note("vexed zebra jumps over quartz"),
                            "by its words alone, no embedding was needed");
    assert_true(tokens_in() > 0);
}

static void submit_reply(const char *text)
{
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "replies",
                             .input_id = "T1", .text = text, .on_done = on_form};
    pending++;
    task_submit(desk, &r);
}

static struct task_rewrite_counts rewritten(int of)
{
    struct task_rewrite_counts c;
    for (int i = 0; i < 500; i++) {
        task_rewrite_counts(desk, &c);
        if (c.replaced + c.refused >= of) {
            break;
        }
        loop_timer_add(loop, 10, stop_loop, NULL);
        run();
    }
    return c;
}

static void drafts_are_rewritten_unless_somebody_opened_them(void **state)
{
    (void)state;
    struct ladder_form *form = make_form();
    static const char ask[] = "How do I reset my password for the sign-in page?";
    snprintf(form->name, sizeof(form->name), "replies");
    form->fields[0].type = form->fields[1].type = LADDER_LINE;
    form->fields[0].labels_learned = false;
    form->rewrite = true;
    form->frames_len = 1;
    snprintf(form->frames[0].lang, sizeof(form->frames[0].lang), "en");
    form->frames[0].greeting_plain = mem_dup_str("Hello,");
    form->frames[0].opening = mem_dup_str("You said: Hello,"); /* what the fake engine writes */
    form->frames[0].sign_off = mem_dup_str("Kind regards");
    task_form_set(desk, form);
    ladder_form_unref(form);
    task_rewrite_pause(desk, true);
    swap(FLEET_HEAVY, 'c');
    submit_reply(ask);
    run();
    assert_string_equal(last_why, "");
    assert_true(artifact_draft[0] != '\0');
    char first[4096];
    snprintf(first, sizeof(first), "%s", artifact_draft);
    struct task_rewrite_counts c = rewritten(0);
    assert_int_equal(c.waiting, 1);
    task_rewrite_pause(desk, false);
    c = rewritten(1);
    assert_int_equal(c.replaced + c.refused, 1);
    assert_int_equal(c.waiting + c.running, 0);
    int replaced = c.replaced;
    redraft_answer = FAIL_CONFLICT;
    submit_reply("Hello, please tell me how to reset my password on the sign-in page");
    run();
    c = rewritten(2);
    assert_int_equal(c.replaced, replaced);
    assert_int_equal(c.refused, 2 - replaced);
    assert_int_equal(redrafts, 2 * replaced);
    submit_reply(ask); /* reused: its artifact has the draft as well */
    run();
    if (field_str("language", "rung") != NULL &&
        strcmp(field_str("language", "rung"), "reuse") == 0) {
        assert_string_equal(artifact_draft, first);
    }
}

static void everything_recorded_verifies(void **state)
{
    (void)state;
    struct audit_report r;
    struct fault why;
    struct audit_verify_options o = {.home = home};
    assert_int_equal(audit_verify(&o, &r, &why), FAIL_NONE);
    assert_true(r.ok && r.leaves > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(articles_are_checked_stored_and_embedded),
        cmocka_unit_test(before_learning_a_person_decides),
        cmocka_unit_test(learning_makes_heads_and_evidence),
        cmocka_unit_test(without_its_certificate_a_rung_only_proposes),
        cmocka_unit_test(the_same_question_is_reused),
        cmocka_unit_test(an_idempotency_key_gives_the_same_answer),
        cmocka_unit_test(an_idempotency_key_lasts_a_day),
        cmocka_unit_test(stakes_and_bad_input_are_told),
        cmocka_unit_test(chats_are_streamed_and_recorded),
        cmocka_unit_test(embeddings_come_in_chunks),
        cmocka_unit_test(of_300_at_once_exactly_those_without_room_are_refused),
        cmocka_unit_test(a_deadline_counts_from_the_beginning),
        cmocka_unit_test(cancelling_one_that_waits_ends_it_at_once),
        cmocka_unit_test(one_key_sent_twice_at_once_has_one_answer),
        cmocka_unit_test(a_head_says_nothing_on_another_models_vectors),
        cmocka_unit_test(evidence_of_a_replaced_model_is_void),
        cmocka_unit_test(more_labels_than_a_form_can_score_are_not_asked_for),
        cmocka_unit_test(values_are_found_in_the_text_and_checked),
        cmocka_unit_test(a_definition_put_while_learning_stays),
        cmocka_unit_test(clear_texts_need_no_embedding),
        cmocka_unit_test(drafts_are_rewritten_unless_somebody_opened_them),
        cmocka_unit_test(everything_recorded_verifies),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
