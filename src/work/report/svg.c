/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts: SVG with a title and a description, in colours that hold in light and dark, the same
 * bytes for the same report. No number stands in a chart that is not one of its values: points are
 * labelled with themselves, there is no scale of round numbers.
 * Threads: pure. Limits: REPORT_PERIODS_MAX x 4 points.
 */
#include <string.h>

#include "work/report/report_internal.h"

#define WIDTH 640
#define HEIGHT 220
#define LEFT 16
#define RIGHT 90
#define TOP 24
#define BOTTOM 34
#define BAR 26
#define NAMES 220

static const char style[] =
    "<style>.rc{--ink:#1c2024;--soft:#60646c;--line:#0b68cb;--odd:#c2410c;"
    "font:12px system-ui,sans-serif}.rc text{fill:var(--ink)}.rc .soft{fill:var(--soft)}"
    ".rc .line{fill:none;stroke:var(--line);stroke-width:2}.rc .dot,.rc .bar{fill:var(--line)}"
    ".rc .odd{fill:var(--odd)}.rc .base{stroke:var(--soft);stroke-width:1}"
    "@media(prefers-color-scheme:dark){.rc{--ink:#edeef0;--soft:#b0b4ba;--line:#70b8ff;"
    "--odd:#ffa057}}</style>";

struct drawing {
    const struct report *r;
    const struct report_chart *c;
    struct buf *out;
    double low, high;
};

static double real(const struct drawing *d, size_t i)
{
    return report_decimal_real(d->r->values[d->c->points[i].value].number);
}

static void label(struct drawing *d, double x, double y, const char *anchor, const char *kind,
                  uint32_t value)
{
    const char *s = d->r->values[value].shown;
    size_t n = strlen(s);
    (void)buf_printf(d->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor,
                     kind);
    size_t cut = text_utf8_count(s, n) > 34 ? text_utf8_cut(s, 32) : n;
    html_escape(d->out, s, cut);
    (void)buf_add_str(d->out, cut < n ? "\xe2\x80\xa6</text>" : "</text>");
}

static void find_range(struct drawing *d)
{
    bool first = true;
    for (size_t i = 0; i < d->c->points_len; i++) {
        if (d->c->points[i].value != NONE) {
            double v = real(d, i);
            d->low = first || v < d->low ? v : d->low;
            d->high = first || v > d->high ? v : d->high;
            first = false;
        }
    }
    if (d->c->bars) {
        d->low = d->low > 0 ? 0 : d->low;
        d->high = d->high < 0 ? 0 : d->high;
    }
    d->high = d->high > d->low ? d->high : d->low + 1;
}

/* ---- lines ---- */

static double line_x(const struct drawing *d, size_t i)
{
    size_t n = d->c->points_len > 1 ? d->c->points_len - 1 : 1;
    return LEFT + (double)(WIDTH - LEFT - RIGHT) * (double)i / (double)n;
}

static double line_y(const struct drawing *d, double v)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (v - d->low) / (d->high - d->low);
}

static void draw_path(struct drawing *d)
{
    bool open = false;
    (void)buf_add_str(d->out, "<path class=\"line\" d=\"");
    for (size_t i = 0; i < d->c->points_len; i++) {
        if (d->c->points[i].value == NONE) {
            open = false; /* a gap stays a gap */
            continue;
        }
        (void)buf_printf(d->out, "%c%.1f %.1f", open ? 'L' : 'M', line_x(d, i),
                         line_y(d, real(d, i)));
        open = true;
    }
    (void)buf_add_str(d->out, "\"/>");
}

static void draw_dot(struct drawing *d, size_t i)
{
    double x = line_x(d, i), y = line_y(d, real(d, i));
    if (d->c->points[i].odd) { /* another shape, not another colour alone */
        (void)buf_printf(d->out, "<path class=\"odd\" d=\"M%.1f %.1fl6 6-6 6-6-6z\"/>", x, y - 6);
    } else {
        (void)buf_printf(d->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", x, y);
    }
}

static void draw_line(struct drawing *d)
{
    size_t last = SIZE_MAX, low = SIZE_MAX, high = SIZE_MAX;
    draw_path(d);
    for (size_t i = 0; i < d->c->points_len; i++) {
        if (d->c->points[i].value == NONE) {
            continue;
        }
        last = i;
        low = low == SIZE_MAX || real(d, i) < real(d, low) ? i : low;
        high = high == SIZE_MAX || real(d, i) > real(d, high) ? i : high;
        if (d->c->points[i].odd || d->c->points_len <= 31) {
            draw_dot(d, i);
        }
    }
    if (last == SIZE_MAX) {
        return;
    }
    label(d, line_x(d, last) + 8, line_y(d, real(d, last)) + 4, "start", "",
          d->c->points[last].value);
    if (high != last) {
        label(d, line_x(d, high), line_y(d, real(d, high)) - 9, high == 0 ? "start" : "middle", "",
              d->c->points[high].value);
    }
    if (low != last && low != high) {
        label(d, line_x(d, low), line_y(d, real(d, low)) + 17, low == 0 ? "start" : "middle", "",
              d->c->points[low].value);
    }
    label(d, LEFT, HEIGHT - 4, "start", " class=\"soft\"", d->c->points[0].label);
    label(d, line_x(d, d->c->points_len - 1), HEIGHT - 4, "end", " class=\"soft\"",
          d->c->points[d->c->points_len - 1].label);
}

/* ---- bars ---- */

static void draw_bars(struct drawing *d)
{
    double width = WIDTH - NAMES - RIGHT, unit = width / (d->high - d->low);
    double zero = NAMES - d->low * unit;
    for (size_t i = 0; i < d->c->points_len; i++) {
        double y = (double)(BAR * (int)i) + 4;
        label(d, NAMES - 8, y + 15, "end", "", d->c->points[i].label);
        if (d->c->points[i].value == NONE) {
            continue;
        }
        double v = real(d, i) * unit, from = v < 0 ? zero + v : zero, size = v < 0 ? -v : v;
        (void)buf_printf(
            d->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>",
            d->c->points[i].odd ? "odd" : "bar", from, y, size < 1 ? 1 : size, BAR - 8);
        label(d, from + size + 6, y + 15, "start", "", d->c->points[i].value);
    }
    (void)buf_printf(d->out, "<line class=\"base\" x1=\"%.1f\" y1=\"0\" x2=\"%.1f\" y2=\"%d\"/>",
                     zero, zero, BAR * (int)d->c->points_len);
}

void svg_write(const struct report *r, const struct report_chart *c, size_t id, bool standalone,
               struct buf *out)
{
    struct drawing d = {.r = r, .c = c, .out = out};
    int height = c->bars ? BAR * (int)c->points_len + 4 : HEIGHT;
    find_range(&d);
    (void)buf_printf(out,
                     "<svg%s class=\"rc\" role=\"img\" aria-labelledby=\"c%zu-t c%zu-d\" "
                     "viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\"><title id=\"c%zu-t\">",
                     standalone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", id, id, WIDTH,
                     height, WIDTH, height, id);
    html_escape(out, c->title.text, strlen(c->title.text));
    (void)buf_printf(out, "</title><desc id=\"c%zu-d\">", id);
    html_escape(out, c->describe.text, strlen(c->describe.text));
    (void)buf_printf(out, "</desc>%s", standalone || id == 0 ? style : "");
    if (c->bars) {
        draw_bars(&d);
    } else {
        draw_line(&d);
    }
    (void)buf_add_str(out, "</svg>");
}

bool report_write_svg(const struct report *r, const struct report_chart *chart, struct buf *out)
{
    svg_write(r, chart, 0, true, out);
    (void)buf_add_char(out, '\n');
    return !out->overflow;
}

size_t report_charts(const struct report *r)
{
    size_t n = 0;
    for (size_t p = 0; p < r->parts_len; p++) {
        for (size_t i = 0; i < r->parts[p].lines_len; i++) {
            n += r->parts[p].lines[i].chart != NULL ? 1 : 0;
        }
    }
    return n;
}

const struct report_chart *report_chart_get(const struct report *r, size_t at)
{
    for (size_t p = 0; p < r->parts_len; p++) {
        for (size_t i = 0; i < r->parts[p].lines_len; i++) {
            if (r->parts[p].lines[i].chart != NULL && at-- == 0) {
                return r->parts[p].lines[i].chart;
            }
        }
    }
    ASSERT(!"a chart of the report");
    return NULL;
}

void report_chart_name(size_t i, char out[32])
{
    struct buf b;
    buf_init(&b, 32);
    (void)buf_printf(&b, "chart-%zu.svg", i + 1);
    (void)text_copy(out, 32, b.data);
    buf_done(&b);
}
