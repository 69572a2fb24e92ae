#include "io/line_editor.h"

#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>
#include <wchar.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/keys.h"
#include "core/mem.h"
#include "io/libedit.h"
#include "io/line_history.h"

#define KEY_REFRESH L'\x1d'
#define KEY_HIDE L'\x1e'

#define PASTE_ON "\x1b[?2004h" /* the terminal puts what is pasted in brackets */
#define PASTE_OFF "\x1b[?2004l"

struct line_editor {
    EditLine *el;      /* owned */
    HistoryW *history; /* owned */
    locale_t utf8;     /* owned; what libedit measures and writes characters by */
    locale_t outer;    /* borrowed: that of our caller, while we are in ours */
    wchar_t *prompt;   /* owned */
    struct keys *keys; /* borrowed while it is fed */
    wchar_t forced;    /* a key of our own, taken before those; 0: none */
    bool active;       /* a line is being edited */
    bool hiding, suspended;
    enum line_event event;
    wchar_t *kept; /* owned: the line while it is hidden */
    int kept_point;
};

/* ---- text ---- */

/* Owned by the caller. Control characters but newline and tab are left out. */
static wchar_t *wide_of(const char *text, bool clean)
{
    struct keys keys = {0};
    wchar_t *wide = xcalloc(strlen(text) + 1, sizeof *wide);
    size_t len = 0;
    uint32_t c;
    size_t left = strlen(text);
    while (left) { /* in pieces: what is taken off a long text is moved each time */
        size_t piece = left < 4096 ? left : 4096;
        buf_append(&keys.bytes, text, piece);
        text += piece;
        left -= piece;
        while (keys.bytes.len > (left ? 4u : 0u) && keys_take(&keys, &c))
            if (!clean || (c >= ' ' && c != 0x7f) || c == '\n' || c == '\t')
                wide[len++] = (wchar_t)c;
    }
    buf_free(&keys.bytes);
    return wide;
}

static void put_utf8(struct buf *text, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80)
        bytes[n++] = (char)c;
    else if (c < 0x800)
        bytes[n++] = (char)(0xc0 | c >> 6);
    else if (c < 0x10000)
        bytes[n++] = (char)(0xe0 | c >> 12);
    else
        bytes[n++] = (char)(0xf0 | c >> 18);
    if (c >= 0x10000)
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
    if (c >= 0x800)
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    if (c >= 0x80)
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    buf_append(text, bytes, n);
}

static void put(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

/* ---- what libedit calls ---- */

static struct line_editor *editor_of(EditLine *el)
{
    void *ed = NULL;
    libedit.el_wget(el, EL_CLIENTDATA, &ed);
    return ed;
}

static wchar_t *show_prompt(EditLine *el) { return editor_of(el)->prompt; }

/* No key is the end of what was begun, never a wait. */
static int take_key(EditLine *el, wchar_t *ret_key)
{
    struct line_editor *ed = editor_of(el);
    uint32_t c;
    if (ed->forced) {
        *ret_key = ed->forced;
        ed->forced = 0;
        return 1;
    }
    if (!ed->keys || !keys_take(ed->keys, &c))
        return 0;
    *ret_key = (wchar_t)c;
    return 1;
}

static int length_of(EditLine *el)
{
    const LineInfoW *line = libedit.el_wline(el);
    return (int)(line->lastchar - line->buffer);
}

static unsigned char end_line(EditLine *el, enum line_event event)
{
    editor_of(el)->event = event;
    libedit.el_cursor(el, length_of(el));
    return CC_CURSOR;
}

static unsigned char key_enter(EditLine *el, wint_t key)
{
    (void)key;
    return end_line(el, LINE_ENTERED);
}

static unsigned char key_interrupt(EditLine *el, wint_t key)
{
    (void)key;
    return end_line(el, LINE_INTERRUPT);
}

static unsigned char key_tab(EditLine *el, wint_t key)
{
    (void)key;
    editor_of(el)->event = LINE_TAB;
    return CC_NORM;
}

/* Ctrl-D: the end on an empty line, else it deletes the character under the cursor. */
static unsigned char key_eof(EditLine *el, wint_t key)
{
    const LineInfoW *line = libedit.el_wline(el);
    (void)key;
    if (line->lastchar == line->buffer)
        return end_line(el, LINE_EOF);
    if (line->cursor == line->lastchar)
        return CC_NORM;
    libedit.el_cursor(el, 1);
    libedit.el_deletestr(el, 1);
    return CC_REFRESH;
}

static unsigned char key_suspend(EditLine *el, wint_t key)
{
    (void)key;
    editor_of(el)->suspended = true;
    return CC_NORM;
}

static unsigned char key_refresh(EditLine *el, wint_t key)
{
    (void)el;
    (void)key;
    return CC_REFRESH;
}

static void keep_line(struct line_editor *ed)
{
    const LineInfoW *line = libedit.el_wline(ed->el);
    size_t len = (size_t)(line->lastchar - line->buffer);
    free(ed->kept);
    ed->kept = xcalloc(len + 1, sizeof *ed->kept);
    wmemcpy(ed->kept, line->buffer, len);
    ed->kept_point = (int)(line->cursor - line->buffer);
}

static void drop_line(EditLine *el)
{
    int len = length_of(el);
    libedit.el_cursor(el, len);
    libedit.el_deletestr(el, len);
}

/* Draws an empty line, and keeps what was in it. Typed by a person it does nothing. */
static unsigned char key_hide(EditLine *el, wint_t key)
{
    struct line_editor *ed = editor_of(el);
    (void)key;
    if (!ed->hiding)
        return CC_NORM;
    keep_line(ed);
    drop_line(el);
    return CC_REFRESH;
}

/* ---- making one ---- */

static const struct {
    const wchar_t *name;
    unsigned char (*run)(EditLine *el, wint_t key);
} functions[] = {
    {L"orrery-enter", key_enter},     {L"orrery-interrupt", key_interrupt},
    {L"orrery-tab", key_tab},         {L"orrery-eof", key_eof},
    {L"orrery-suspend", key_suspend}, {L"orrery-refresh", key_refresh},
    {L"orrery-hide", key_hide},
};

/* What reads further keys itself (incremental search, the command prompt) would wait for them. */
static const wchar_t *const bindings[][2] = {
    {L"^M", L"orrery-enter"},
    {L"^J", L"orrery-enter"},
    {L"^C", L"orrery-interrupt"},
    {L"^I", L"orrery-tab"},
    {L"^D", L"orrery-eof"},
    {L"^Z", L"orrery-suspend"},
    {L"^]", L"orrery-refresh"},
    {L"^^", L"orrery-hide"},
    {L"^R", L"ed-search-prev-history"},
    {L"^S", L"ed-search-next-history"},
    {L"^W", L"ed-delete-prev-word"},
    {L"\\ex", L"ed-unassigned"},
    {L"\\eX", L"ed-unassigned"},
    {L"\\e[1~", L"ed-move-to-beg"},
    {L"\\e[4~", L"ed-move-to-end"},
    {L"\\e[H", L"ed-move-to-beg"},
    {L"\\e[F", L"ed-move-to-end"},
    {L"\\eOH", L"ed-move-to-beg"},
    {L"\\eOF", L"ed-move-to-end"},
    {L"\\e[3~", L"ed-delete-next-char"},
    {L"\\e[1;5C", L"em-next-word"},
    {L"\\e[1;5D", L"ed-prev-word"},
};

static void bind_keys(EditLine *el)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        libedit.el_wset(el, EL_ADDFN, functions[i].name, L"of orrery", functions[i].run);
    for (size_t i = 0; i < sizeof bindings / sizeof *bindings; i++)
        libedit.el_wset(el, EL_BIND, bindings[i][0], bindings[i][1], NULL);
}

static void enter(struct line_editor *ed)
{
    if (ed->utf8)
        ed->outer = uselocale(ed->utf8);
}

static void leave(struct line_editor *ed)
{
    if (ed->utf8)
        uselocale(ed->outer);
}

static int set_up(struct line_editor *ed, const char *name)
{
    HistEventW event;
    EditLine *el =
        libedit.el_init_fd(name, stdin, stdout, stderr, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
    if (!el)
        return -1;
    ed->el = el;
    ed->history = libedit.history_winit();
    libedit.history_w(ed->history, &event, H_SETSIZE, LINE_HISTORY_MAX);
    libedit.history_w(ed->history, &event, H_SETUNIQUE, 1);
    libedit.el_wset(el, EL_CLIENTDATA, ed);
    libedit.el_wset(el, EL_EDITOR, L"emacs");
    libedit.el_wset(el, EL_HIST, libedit.history_w, ed->history);
    libedit.el_wset(el, EL_PROMPT_ESC, show_prompt, L'\1');
    libedit.el_wset(el, EL_GETCFN, take_key);
    libedit.el_wset(el, EL_SETTY, L"-d", L"-isig", L"-ixon", NULL); /* keys of ours */
    bind_keys(el);
    return 0;
}

struct line_editor *line_editor_new(const char *name, struct err *err)
{
    if (libedit_load(err) < 0)
        return NULL;
    struct line_editor *ed = xcalloc(1, sizeof *ed);
    ed->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    ed->prompt = wide_of("", false);
    enter(ed);
    int failure = set_up(ed, name);
    leave(ed);
    if (!failure)
        return ed;
    line_editor_free(ed);
    err_set(err, "io", "the terminal cannot be set up for editing lines");
    return NULL;
}

void line_editor_free(struct line_editor *ed)
{
    line_editor_end(ed, "");
    enter(ed);
    if (ed->el)
        libedit.el_end(ed->el);
    if (ed->history)
        libedit.history_wend(ed->history);
    leave(ed);
    if (ed->utf8)
        freelocale(ed->utf8);
    free(ed->prompt);
    free(ed->kept);
    free(ed);
}

/* ---- a line ---- */

static void press(struct line_editor *ed, wchar_t key)
{
    int count;
    ed->forced = key;
    libedit.el_wgets(ed->el, &count);
}

static void start(struct line_editor *ed)
{
    put(PASTE_ON);
    ed->active = true;
    libedit.el_wset(ed->el, EL_UNBUFFERED, 1);
}

static void stop(struct line_editor *ed)
{
    libedit.el_wset(ed->el, EL_UNBUFFERED, 0);
    ed->active = false;
    put(PASTE_OFF);
}

/* Puts the kept line back, and draws it from here on down. */
static void show_kept(struct line_editor *ed)
{
    libedit.el_winsertstr(ed->el, ed->kept);
    libedit.el_cursor(ed->el, ed->kept_point - (int)wcslen(ed->kept));
    libedit.el_wset(ed->el, EL_REFRESH);
}

static void suspend(struct line_editor *ed)
{
    ed->suspended = false;
    keep_line(ed);
    put("\r\n");
    stop(ed);
    kill(getpid(), SIGTSTP); /* goes on here when the shell continues us */
    start(ed);
    put("\r");
    show_kept(ed);
}

void line_editor_remember(struct line_editor *ed, const char *entry)
{
    HistEventW event;
    wchar_t *wide = wide_of(entry, true);
    enter(ed);
    libedit.history_w(ed->history, &event, H_ENTER, wide);
    leave(ed);
    free(wide);
}

bool line_editor_begin(struct line_editor *ed, const char *prompt)
{
    bool resting = !ed->active;
    wchar_t *wide = wide_of(prompt, false);
    bool changed = wcscmp(wide, ed->prompt) != 0;
    free(ed->prompt);
    ed->prompt = wide;
    enter(ed);
    if (!ed->active)
        start(ed);
    else if (changed)
        press(ed, KEY_REFRESH);
    leave(ed);
    return resting;
}

static void paste(struct line_editor *ed)
{
    char *text = keys_take_paste(ed->keys);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r')
            text[i] = '\n';
    while (len && text[len - 1] == '\n') /* it is for the person to say that it is whole */
        text[--len] = '\0';
    wchar_t *wide = wide_of(text, true);
    libedit.el_winsertstr(ed->el, wide);
    press(ed, KEY_REFRESH);
    free(wide);
    free(text);
}

static bool feed_one(struct line_editor *ed, bool force)
{
    enum keys_front front = keys_front(ed->keys);
    int count;
    if (front == KEYS_PASTE)
        paste(ed);
    else if (front == KEYS_KEY || (force && front == KEYS_HALF))
        libedit.el_wgets(ed->el, &count);
    else
        return false;
    if (ed->suspended)
        suspend(ed);
    return true;
}

enum line_event line_editor_feed(struct line_editor *ed, struct keys *keys, bool force)
{
    ed->keys = keys;
    ed->event = LINE_NONE;
    enter(ed);
    while (ed->event == LINE_NONE && feed_one(ed, force)) {
    }
    leave(ed);
    ed->keys = NULL;
    return ed->event;
}

char *line_editor_text(struct line_editor *ed, size_t *ret_point)
{
    const LineInfoW *line = libedit.el_wline(ed->el);
    struct buf text = {0};
    *ret_point = 0;
    for (const wchar_t *c = line->buffer; c < line->lastchar; c++) {
        if (c == line->cursor)
            *ret_point = text.len;
        put_utf8(&text, (uint32_t)*c);
    }
    if (line->cursor == line->lastchar)
        *ret_point = text.len;
    return buf_take(&text);
}

void line_editor_insert(struct line_editor *ed, const char *text, int instead)
{
    if (!ed->active)
        return;
    wchar_t *wide = wide_of(text, true);
    enter(ed);
    libedit.el_deletestr(ed->el, instead);
    libedit.el_winsertstr(ed->el, wide);
    press(ed, KEY_REFRESH);
    leave(ed);
    free(wide);
}

void line_editor_print(struct line_editor *ed, const char *text)
{
    if (!ed->active) {
        put(text);
        return;
    }
    enter(ed);
    ed->hiding = true;
    press(ed, KEY_HIDE);
    ed->hiding = false;
    put("\r\x1b[J");
    put(text);
    show_kept(ed);
    leave(ed);
}

void line_editor_end(struct line_editor *ed, const char *said)
{
    if (!ed->active)
        return;
    enter(ed);
    put(said);
    put("\r\n");
    stop(ed);
    leave(ed);
}

struct place {
    int row, column, columns;
};

static void walk(struct place *p, wchar_t c)
{
    int width = wcwidth(c) < 0 ? 2 : wcwidth(c); /* ^A */
    if (c == L'\n' || p->column + width > p->columns) {
        p->row++;
        p->column = c == L'\n' ? 0 : width;
        return;
    }
    p->column += width;
}

/* How many rows the cursor stands below the beginning of the prompt, in a window that breaks a long
 * line anew when it is resized, as terminals do today. */
static int rows_above(struct line_editor *ed, int columns)
{
    const LineInfoW *line = libedit.el_wline(ed->el);
    struct place place = {.columns = columns};
    bool shown = true;
    for (const wchar_t *c = ed->prompt; *c; c++) {
        if (*c == L'\1')
            shown = !shown;
        else if (shown)
            walk(&place, *c);
    }
    for (const wchar_t *c = line->buffer; c < line->cursor; c++)
        walk(&place, *c);
    return place.column == columns ? place.row + 1 : place.row;
}

static void move_to_prompt(struct line_editor *ed)
{
    struct winsize size;
    char text[32];
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return;
    int rows = rows_above(ed, size.ws_col);
    if (rows > size.ws_row)
        rows = size.ws_row;
    if (rows == 0)
        return;
    snprintf(text, sizeof text, "\x1b[%dA", rows);
    put(text);
}

void line_editor_resized(struct line_editor *ed)
{
    if (!ed->active)
        return;
    enter(ed);
    move_to_prompt(ed);
    libedit.el_resize(ed->el);
    put("\r\x1b[J");
    libedit.el_wset(ed->el, EL_REFRESH);
    leave(ed);
}
