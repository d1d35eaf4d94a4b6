#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the reports of this example: four runs of a small shop's tests, the last one with what the workflow is for.

new.xml    the run to look at: a database that refuses connections, a discount that is counted wrong, a test that passed on its second try, a slow one
base.xml   the run before it; history-1.xml and history-2.xml, the two before that
"""
import os
from xml.sax.saxutils import quoteattr, escape

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = [(c, n) for c, names in {
    "shop.cart.CartTest": ["adds_item", "removes_item", "keeps_items_between_visits", "sums_up", "counts_discount_once", "counts_discount_of_two_codes"],
    "shop.orders.OrderStoreTest": ["saves_order", "loads_order", "lists_orders_of_customer", "refuses_unknown_order"],
    "shop.orders.InvoiceTest": ["numbers_are_in_a_row", "shows_tax", "prints_address"],
    "shop.search.SearchTest": ["finds_by_name", "finds_by_part_of_name", "ranks_whole_words_first", "answers_in_time"],
    "shop.mail.MailTest": ["greets_by_name", "has_a_way_out", "is_sent_once"],
    "shop.web.CheckoutTest": ["shows_total", "asks_for_address", "goes_back_to_cart"],
}.items() for n in names]
REFUSED = ("java.net.ConnectException", "Connection refused: db.test.internal:5432",
           "java.net.ConnectException: Connection refused: db.test.internal:5432\n"
           "\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)\n"
           "\tat shop.orders.Database.open(Database.java:44)\n\tat shop.orders.OrderStore.%s(OrderStore.java:%d)\n")
WRONG = ("org.opentest4j.AssertionFailedError", "expected: <%s> but was: <%s>",
         "org.opentest4j.AssertionFailedError: expected: <%s> but was: <%s>\n"
         "\tat org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:55)\n"
         "\tat shop.cart.CartTest.%s(CartTest.java:%d)\n")


def failure(kind, message, trace):
    return "<failure type=%s message=%s>%s</failure>" % (quoteattr(kind), quoteattr(message), escape(trace))


def refused(method, line):
    return failure(REFUSED[0], REFUSED[1], REFUSED[2] % (method, line))


def wrong(want, got, method, line):
    return failure(WRONG[0], WRONG[1] % (want, got), WRONG[2] % (want, got, method, line))


def write(name, day, results, left_out=(), more=(), slow=1.0):
    tests = [t for t in TESTS if t[1] not in left_out] + list(more)
    suites = {}
    for i, (c, n) in enumerate(tests):
        seconds = (0.02 + 0.013 * (sum(map(ord, n)) % 17)) * slow
        seconds = results.get(n + "!", seconds)
        body = results.get(n, "")
        suites.setdefault(c, []).append((n, seconds, body))
    out = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for c, cases in suites.items():
        out.append('  <testsuite name=%s tests="%d" failures="%d" errors="0" skipped="%d" timestamp="%sT06:00:00Z">' % (
            quoteattr(c), len(cases), sum("<failure" in b for _, _, b in cases), sum("<skipped" in b for _, _, b in cases), day))
        for n, seconds, body in cases:
            head = "    <testcase classname=%s name=%s time=\"%.3f\"" % (quoteattr(c), quoteattr(n), seconds)
            out.append(head + ("/>" if not body else ">%s</testcase>" % body))
        out.append("  </testsuite>")
    out.append("</testsuites>\n")
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        f.write("\n".join(out))


TAX = wrong("19.00", "18.99", "shows_tax", 31).replace("shop.cart.CartTest.shows_tax(CartTest", "shop.orders.InvoiceTest.shows_tax(InvoiceTest")
OFF = '<skipped message="until the new index is there"/>'
write("history-1.xml", "2026-05-04", {"ranks_whole_words_first": OFF}, left_out=("is_sent_once",))
write("history-2.xml", "2026-05-05", {"ranks_whole_words_first": OFF, "shows_tax": TAX}, slow=1.1)
write("base.xml", "2026-05-06", {"ranks_whole_words_first": OFF, "shows_tax": TAX,
                                 "goes_back_to_cart": failure("TimeoutException", "page did not load: timed out after 30 s", "at shop.web.Browser.open(Browser.java:88)")})
write("new.xml", "2026-05-07", {
    "saves_order": refused("save", 61), "loads_order": refused("load", 73), "lists_orders_of_customer": refused("list", 90),
    "counts_discount_of_two_codes": wrong("80.00", "72.00", "counts_discount_of_two_codes", 57),
    "counts_discount_once": wrong("90.00", "81.00", "counts_discount_once", 49),
    "shows_tax": TAX,
    "greets_by_name": '<flakyFailure type="TimeoutException" message="no mail within 5 s"><stackTrace>at shop.mail.Inbox.wait(Inbox.java:17)</stackTrace></flakyFailure>',
    "answers_in_time!": 4.210,
}, left_out=("refuses_unknown_order",), more=[("shop.cart.CartTest", "takes_voucher")], slow=1.05)
