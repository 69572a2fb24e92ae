/* bare_http.c -- bare_http URL SECONDS [fresh]: GETs with 64 at once, by libcurl's multi interface
 * under epoll and nothing around it. Prints how many were answered with 200, and the seconds of
 * processor that this took. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "usage.h"

#define AT_ONCE 64

static CURLM *multi;
static int epoll;
static long due_ms = -1; /* what libcurl's timer was set to */
static long answered;

static size_t swallow(char *bytes, size_t size, size_t count, void *data)
{
    (void)bytes;
    (void)data;
    return size * count;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *data, void *known)
{
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    (void)data;
    if (what == CURL_POLL_REMOVE)
        return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), 0;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    curl_multi_assign(multi, fd, &epoll);
    return 0;
}

static int timer_wanted(CURLM *m, long ms, void *data)
{
    (void)m;
    (void)data;
    due_ms = ms;
    return 0;
}

static void start(const char *url, bool fresh)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)fresh);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)fresh);
    curl_multi_add_handle(multi, easy);
}

static void again(void)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi, &left))) {
        CURL *easy = message->easy_handle;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        answered += message->data.result == CURLE_OK && status == 200;
        curl_multi_remove_handle(multi, easy);
        curl_multi_add_handle(multi, easy);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct epoll_event events[AT_ONCE];
    int running;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    for (int i = 0; i < AT_ONCE; i++)
        start(argv[1], argc > 3 && strcmp(argv[3], "fresh") == 0);
    double end = now() + atof(argv[2]), before = used();
    while (now() < end) {
        int count = epoll_wait(epoll, events, AT_ONCE, due_ms < 0 ? 100 : (int)due_ms);
        if (count == 0 || due_ms == 0) {
            due_ms = -1; /* libcurl tells only what changes */
            curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (int i = 0; i < count; i++) {
            int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(multi, events[i].data.fd, what, &running);
        }
        again();
    }
    printf("%ld %.3f\n", answered, used() - before);
    return 0;
}
