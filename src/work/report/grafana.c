/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A first draft of a Grafana dashboard (the classic JSON model, schema version 39): one panel for
 * each row of the report that was made, which names its column and its source. From files the
 * panels carry the values themselves (Grafana's own TestData source, scenario csv_content); from a
 * query they ask the database for theirs.
 * Threads: pure. Limits: the buffer's cap.
 */
#include <string.h>

#include "base/json/json.h"
#include "work/report/report_internal.h"

#define PANEL_WIDTH 12
#define PANEL_HEIGHT 8

struct drafting {
    const struct report *r;
    const struct report_dashboard *from;
    struct jn_writer w;
    int panels;
};

/* ---- SQL ---- */

static void put_name(struct buf *b, const char *name)
{
    (void)buf_add_char(b, '"');
    for (const char *p = name; *p != '\0'; p++) {
        (void)buf_add_str(b, *p == '"' ? "\"\"" : (char[2]){*p, '\0'});
    }
    (void)buf_add_char(b, '"');
}

static void put_string(struct buf *b, const char *text)
{
    (void)buf_add_char(b, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        (void)buf_add_str(b, *p == '\'' ? "''" : (char[2]){*p, '\0'});
    }
    (void)buf_add_char(b, '\'');
}

static const char *sql_aggregate(enum report_how how)
{
    switch ((int)how) {
    case REPORT_HOW_SUM:
        return "SUM";
    case REPORT_HOW_MEAN:
        return "AVG";
    case REPORT_HOW_MIN:
        return "MIN";
    case REPORT_HOW_MAX:
        return "MAX";
    case REPORT_HOW_COUNT:
        return "COUNT";
    case REPORT_HOW_DISTINCT:
        return "COUNT(DISTINCT";
    default:
        return NULL;
    }
}

/* How a row of the report is computed in SQL; false: not at all (lists, medians). */
static bool sql_value(const struct drafting *d, const struct report_line *l, bool group,
                      struct buf *b)
{
    const struct report_value *v = &d->r->values[l->value];
    if (v->how == REPORT_HOW_RATIO) {
        (void)buf_add_str(b, "100.0 * SUM(q.");
        put_name(b, d->r->table->columns[d->r->values[v->of[0]].cells[0].column].name);
        (void)buf_add_str(b, ") / NULLIF(SUM(q.");
        put_name(b, d->r->table->columns[d->r->values[v->of[1]].cells[0].column].name);
        (void)buf_add_str(b, "), 0)");
        return true;
    }
    const char *how = v->how == REPORT_HOW_CELL ? (group ? "SUM" : "MAX") : sql_aggregate(v->how);
    if (how == NULL) {
        return false;
    }
    (void)buf_printf(b, "%s%sq.", how, strchr(how, '(') == NULL ? "(" : " ");
    put_name(b, l->column);
    (void)buf_add_char(b, ')');
    return true;
}

/* Seconds (SQLite) or a timestamp (PostgreSQL) of the period column; false: its cells are no dates
   that the database would read. */
static bool sql_time(const struct drafting *d, const char *column, struct buf *b)
{
    const struct report_table *t = d->r->table;
    const struct report_cell *c = report_table_cell(t, 0, report_table_find(t, column));
    bool month = c->kind == REPORT_DATE && c->date.grain == REPORT_GRAIN_MONTH;
    bool day = c->kind == REPORT_DATE &&
               (c->date.grain == REPORT_GRAIN_DAY || c->date.grain == REPORT_GRAIN_TIME);
    size_t iso = strspn(c->text, "0123456789");
    if ((!month && !day) || iso != 4 || c->text[4] != '-') {
        return false;
    }
    (void)buf_add_str(b,
                      d->from->kind == REPORT_FROM_SQLITE ? "CAST(strftime('%s', q." : "CAST(q.");
    put_name(b, column);
    (void)buf_add_str(b, month ? " || '-01'" : "");
    (void)buf_add_str(b, d->from->kind == REPORT_FROM_SQLITE ? ") AS INTEGER)" : " AS timestamp)");
    return true;
}

static bool sql_query(const struct drafting *d, const struct report_line *l, bool *time,
                      struct buf *b)
{
    const char *over = l->group[0] != '\0' ? l->group : l->period;
    size_t n = strlen(d->from->query);
    while (n > 0 && strchr("; \t\r\n", d->from->query[n - 1]) != NULL) {
        n--;
    }
    *time = false;
    (void)buf_add_str(b, "SELECT ");
    if (over[0] != '\0') {
        *time = l->group[0] == '\0' && sql_time(d, over, b);
        if (!*time) {
            (void)buf_add_str(b, "q.");
            put_name(b, over);
        }
        (void)buf_add_str(b, *time ? " AS \"time\", " : " AS \"group\", ");
    }
    if (!sql_value(d, l, l->group[0] != '\0', b)) {
        return false;
    }
    (void)buf_add_str(b, " AS ");
    put_name(b, l->name);
    (void)buf_add_str(b, " FROM (");
    (void)buf_add(b, d->from->query, n);
    (void)buf_add_str(b, ") AS q");
    if (l->where_column[0] != '\0') {
        (void)buf_add_str(b, " WHERE q.");
        put_name(b, l->where_column);
        (void)buf_add_str(b, " = ");
        put_string(b, l->where_value);
    }
    (void)buf_add_str(b, over[0] == '\0'       ? ""
                         : l->group[0] != '\0' ? " GROUP BY 1 ORDER BY 2 DESC LIMIT 50"
                                               : " GROUP BY 1 ORDER BY 1");
    return !b->overflow;
}

/* ---- CSV ---- */

static void csv_text(struct buf *b, const char *s)
{
    (void)buf_add_char(b, '"');
    for (const char *p = s; *p != '\0'; p++) {
        (void)buf_add_str(b, *p == '"' ? "\"\"" : (char[2]){*p == '\n' ? ' ' : *p, '\0'});
    }
    (void)buf_add_char(b, '"');
}

static void csv_time(struct buf *b, const char *shown)
{
    struct report_date date;
    char s[REPORT_NUMBER_SIZE];
    if (!report_date_read(shown, strlen(shown), REPORT_ORDER_AUTO, true, &date)) {
        csv_text(b, shown);
        return;
    }
    int hour, day;
    date_parts(date.at, &hour, &day);
    date_show((struct report_date){date.at, REPORT_GRAIN_DAY}, s);
    int64_t second = ((date.at % 86400) + 86400) % 86400;
    (void)buf_printf(b, "%sT%02d:%02d:%02dZ", s, hour, (int)(second / 60 % 60), (int)(second % 60));
}

/* The points of the row's chart, or its one value. */
static void csv_content(const struct drafting *d, const struct report_line *l, struct buf *b)
{
    char number[REPORT_NUMBER_SIZE];
    bool time = l->group[0] == '\0' && l->points_len > 0;
    if (l->points_len > 0) {
        (void)buf_add_str(b, time ? "time," : "group,");
    }
    csv_text(b, l->name);
    (void)buf_add_char(b, '\n');
    for (size_t i = 0; i < l->points_len; i++) {
        const char *label = d->r->values[l->points[i].label].shown;
        if (time) {
            csv_time(b, label);
        } else {
            csv_text(b, label);
        }
        (void)buf_add_char(b, ',');
        if (l->points[i].value != NONE) {
            trace_number(d->r->values[l->points[i].value].number, number);
            (void)buf_add_str(b, number);
        }
        (void)buf_add_char(b, '\n');
    }
    if (l->points_len == 0) {
        trace_number(d->r->values[l->value].number, number);
        (void)buf_printf(b, "%s\n", number);
    }
}

/* ---- panels ---- */

static const char *source_type(const struct drafting *d)
{
    return d->from->kind == REPORT_FROM_SQLITE     ? "frser-sqlite-datasource"
           : d->from->kind == REPORT_FROM_POSTGRES ? "grafana-postgresql-datasource"
                                                   : "grafana-testdata-datasource";
}

static void put_source(struct drafting *d)
{
    jn_key(&d->w, "datasource");
    jn_object_begin(&d->w);
    jn_kv_str(&d->w, "type", source_type(d));
    jn_kv_str(&d->w, "uid", "${datasource}");
    jn_object_end(&d->w);
}

static void put_target(struct drafting *d, const struct buf *text, bool time)
{
    jn_key(&d->w, "targets");
    jn_array_begin(&d->w);
    jn_object_begin(&d->w);
    jn_kv_str(&d->w, "refId", "A");
    put_source(d);
    const char *s = text->data == NULL ? "" : text->data;
    if (d->from->kind == REPORT_FROM_FILES) {
        jn_kv_str(&d->w, "scenarioId", "csv_content");
        jn_kv_str(&d->w, "csvContent", s);
    } else if (d->from->kind == REPORT_FROM_SQLITE) {
        jn_kv_str(&d->w, "queryType", time ? "time series" : "table");
        jn_kv_str(&d->w, "queryText", s);
        jn_kv_str(&d->w, "rawQueryText", s);
        jn_key(&d->w, "timeColumns");
        jn_array_begin(&d->w);
        if (time) {
            jn_put_str(&d->w, "time");
        }
        jn_array_end(&d->w);
    } else {
        jn_kv_str(&d->w, "format", time ? "time_series" : "table");
        jn_kv_bool(&d->w, "rawQuery", true);
        jn_kv_str(&d->w, "editorMode", "code");
        jn_kv_str(&d->w, "rawSql", s);
    }
    jn_object_end(&d->w);
    jn_array_end(&d->w);
}

static void put_look(struct drafting *d, const char *type, const char *unit)
{
    jn_key(&d->w, "fieldConfig");
    jn_object_begin(&d->w);
    jn_key(&d->w, "defaults");
    jn_object_begin(&d->w);
    jn_kv_str(&d->w, "unit", strcmp(unit, "%") == 0    ? "percent"
                             : strcmp(unit, "ms") == 0 ? "ms"
                             : strcmp(unit, "s") == 0  ? "s"
                                                       : "none");
    jn_object_end(&d->w);
    jn_key(&d->w, "overrides");
    jn_array_begin(&d->w);
    jn_array_end(&d->w);
    jn_object_end(&d->w);
    jn_key(&d->w, "options");
    jn_object_begin(&d->w);
    if (strcmp(type, "stat") == 0) {
        jn_key(&d->w, "reduceOptions");
        jn_object_begin(&d->w);
        jn_key(&d->w, "calcs");
        jn_array_begin(&d->w);
        jn_put_str(&d->w, "lastNotNull");
        jn_array_end(&d->w);
        jn_kv_str(&d->w, "fields", "");
        jn_kv_bool(&d->w, "values", false);
        jn_object_end(&d->w);
    } else {
        jn_key(&d->w, "legend");
        jn_object_begin(&d->w);
        jn_kv_str(&d->w, "displayMode", "list");
        jn_kv_str(&d->w, "placement", "bottom");
        jn_kv_bool(&d->w, "showLegend", true);
        jn_object_end(&d->w);
    }
    jn_object_end(&d->w);
}

static void put_place(struct drafting *d)
{
    jn_key(&d->w, "gridPos");
    jn_object_begin(&d->w);
    jn_kv_int(&d->w, "h", PANEL_HEIGHT);
    jn_kv_int(&d->w, "w", PANEL_WIDTH);
    jn_kv_int(&d->w, "x", d->panels % 2 * PANEL_WIDTH);
    jn_kv_int(&d->w, "y", d->panels / 2 * PANEL_HEIGHT);
    jn_object_end(&d->w);
}

static void put_panel(struct drafting *d, const struct report_line *l)
{
    struct buf text, say;
    bool time = l->group[0] == '\0' && l->points_len > 0, ok = true;
    buf_init(&text, (size_t)1 << 20);
    buf_init(&say, 4096);
    if (d->from->kind == REPORT_FROM_FILES) {
        csv_content(d, l, &text);
    } else {
        ok = sql_query(d, l, &time, &text);
    }
    const char *type = time                                              ? "timeseries"
                       : l->group[0] != '\0' || (l->period[0] != '\0' && l->points_len > 0)
                           ? "barchart"
                           : "stat";
    if (ok) {
        (void)buf_printf(&say, "Column %s of %s", l->column, d->from->name);
        (void)buf_add_str(&say, d->from->kind == REPORT_FROM_FILES
                                    ? " (values of the file; for live ones, make the report from a "
                                      "source)."
                                    : ".");
        jn_object_begin(&d->w);
        jn_kv_int(&d->w, "id", d->panels + 1);
        jn_kv_str(&d->w, "type", type);
        jn_kv_str(&d->w, "title", l->name);
        jn_kv_str(&d->w, "description", say.data);
        put_place(d);
        put_source(d);
        put_target(d, &text, time);
        put_look(d, type, d->r->values[l->value].unit);
        jn_object_end(&d->w);
        d->panels++;
    }
    buf_done(&text);
    buf_done(&say);
}

static void put_variable(struct drafting *d)
{
    jn_key(&d->w, "templating");
    jn_object_begin(&d->w);
    jn_key(&d->w, "list");
    jn_array_begin(&d->w);
    jn_object_begin(&d->w);
    jn_kv_str(&d->w, "name", "datasource");
    jn_kv_str(&d->w, "label", "Data source");
    jn_kv_str(&d->w, "type", "datasource");
    jn_kv_str(&d->w, "query", source_type(d));
    jn_kv_int(&d->w, "hide", 0);
    jn_kv_bool(&d->w, "skipUrlSync", false);
    jn_kv_bool(&d->w, "multi", false);
    jn_kv_bool(&d->w, "includeAll", false);
    jn_object_end(&d->w);
    jn_array_end(&d->w);
    jn_object_end(&d->w);
}

/* The whole of the periods: a dashboard of months is empty in the last six hours. */
static void put_time(struct drafting *d)
{
    struct buf from, to;
    struct report_date last;
    const char *end = d->r->last_period, *begin = d->r->first_period;
    buf_init(&from, 64);
    buf_init(&to, 64);
    bool dated = report_date_read(end, strlen(end), REPORT_ORDER_AUTO, true, &last);
    if (dated) {
        static const int days[] = {0, 1, 1, 1, 7, 31, 92, 366};
        char s[REPORT_NUMBER_SIZE];
        csv_time(&from, begin);
        date_show((struct report_date){last.at + (int64_t)days[last.grain] * 86400,
                                       REPORT_GRAIN_DAY},
                  s);
        (void)buf_printf(&to, "%sT00:00:00Z", s);
    }
    jn_key(&d->w, "time");
    jn_object_begin(&d->w);
    jn_kv_str(&d->w, "from", dated ? from.data : "now-1y");
    jn_kv_str(&d->w, "to", dated ? to.data : "now");
    jn_object_end(&d->w);
    buf_done(&from);
    buf_done(&to);
}

static void put_uid(struct drafting *d)
{
    uint8_t hash[32];
    char hex[TEXT_SHA256_HEX_SIZE];
    struct buf b;
    buf_init(&b, 64 * 1024);
    (void)buf_printf(&b, "%s\n%s\n", d->r->title.text, d->from->name);
    text_sha256(b.data, b.len, hash);
    text_hex(hash, 10, hex);
    jn_kv_str(&d->w, "uid", hex);
    buf_done(&b);
}

size_t report_write_grafana(const struct report *r, const struct report_dashboard *from,
                            struct buf *out)
{
    struct drafting d = {.r = r, .from = from};
    jn_begin(&d.w, out, false);
    jn_object_begin(&d.w);
    put_uid(&d);
    jn_kv_str(&d.w, "title", r->title.text);
    jn_kv_str(&d.w, "description", "A first draft, made from a standard report.");
    jn_kv_int(&d.w, "schemaVersion", 39);
    jn_kv_int(&d.w, "version", 1);
    jn_kv_bool(&d.w, "editable", true);
    jn_kv_int(&d.w, "graphTooltip", 1);
    jn_kv_str(&d.w, "timezone", "utc");
    put_time(&d);
    jn_key(&d.w, "tags");
    jn_array_begin(&d.w);
    jn_put_str(&d.w, "inhouse");
    jn_array_end(&d.w);
    put_variable(&d);
    jn_key(&d.w, "panels");
    jn_array_begin(&d.w);
    for (size_t p = 0; p < r->parts_len; p++) {
        for (size_t i = 0; i < r->parts[p].lines_len; i++) {
            if (r->parts[p].lines[i].missing == NULL) {
                put_panel(&d, &r->parts[p].lines[i]);
            }
        }
    }
    jn_array_end(&d.w);
    jn_object_end(&d.w);
    (void)buf_add_char(out, '\n');
    return out->overflow ? 0 : (size_t)d.panels;
}
