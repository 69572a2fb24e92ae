/* consul_turns.c -- who may let Consul wait. An agent takes 200 connections of one client and no
 * more, each blocking query is one, and one that is given up stays one until its time is over. So
 * beyond a number of them the watches wait briefly and by turns: each may be late by seconds. */
#include "consul.h"
#include "io/io.h"

#define MAX_WAITING 160
#define MAX_LONG 120 /* those that come first wait as long as they like */

static void append(struct consul_turn_list *list, struct consul_turn *turn)
{
    turn->list = list;
    turn->next = NULL;
    turn->prev = list->last;
    *(turn->prev ? &turn->prev->next : &list->first) = turn;
    list->last = turn;
    list->count++;
}

static void remove_turn(struct consul_turn *turn)
{
    struct consul_turn_list *list = turn->list;
    if (!list)
        return;
    *(turn->prev ? &turn->prev->next : &list->first) = turn->next;
    *(turn->next ? &turn->next->prev : &list->last) = turn->prev;
    list->count--;
    turn->list = NULL;
}

static void begin(struct consul *c, struct consul_turn *turn)
{
    turn->brief = c->waiting.count >= MAX_LONG || c->queue.count > 0;
    append(&c->waiting, turn);
}

bool consul_turn_take(struct consul_op *op, bool waits, uv_timer_cb resume)
{
    struct consul *c = op->consul;
    struct consul_turn *turn = &op->turn;
    if (!waits) { /* its time may have run out in the queue: then it must not be resumed, too */
        consul_turn_end(op);
        return true;
    }
    if (turn->list == &c->waiting)
        return true;
    remove_turn(turn);
    turn->op = op;
    turn->resume = resume;
    if (c->queue.count == 0 && c->waiting.count < MAX_WAITING) {
        begin(c, turn);
        return true;
    }
    append(&c->queue, turn);
    uv_timer_start(&op->timer, resume, consul_op_left_ms(op), 0);
    return false;
}

void consul_turn_end(struct consul_op *op)
{
    struct consul *c = op->consul;
    remove_turn(&op->turn);
    struct consul_turn *next = c->queue.first;
    if (!next || c->waiting.count >= MAX_WAITING)
        return;
    remove_turn(next);
    begin(c, next);
    uv_timer_start(&next->op->timer, next->resume, 0, 0);
}
