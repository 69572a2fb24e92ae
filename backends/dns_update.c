#include "dns_update.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/stamp.h"
#include "dns_key.h"
#include "io/dns_message.h"
#include "io/dns_name.h"
#include "io/libldns.h"

#define CLASS_IN 1
#define CLASS_NONE 254
#define CLASS_ANY 255
#define TYPE_ANY 255
#define OPCODE_UPDATE 5
#define FUDGE_S 300
#define MAX_MESSAGE 65000

/* ---- building ---- */

static void put_16(struct buf *b, uint16_t number)
{
    uint16_t wire = htobe16(number);
    buf_append(b, &wire, sizeof wire);
}

static void put_32(struct buf *b, uint32_t number)
{
    uint32_t wire = htobe32(number);
    buf_append(b, &wire, sizeof wire);
}

static void put_record(struct buf *b, const char *name, uint16_t type, uint16_t class,
                       uint32_t ttl_s, const void *data, size_t len)
{
    if (dns_name_write(name, b) < 0)
        buf_append(b, "", 1); /* the root: out of every zone */
    put_16(b, type);
    put_16(b, class);
    put_32(b, ttl_s);
    put_16(b, (uint16_t)len);
    buf_append(b, data, len);
}

void dns_update_init(struct dns_update *u, const char *zone)
{
    *u = (struct dns_update){0};
    if (dns_name_write(zone, &u->head) < 0)
        buf_append(&u->head, "", 1);
    put_16(&u->head, DNS_SOA);
    put_16(&u->head, CLASS_IN);
}

void dns_update_close(struct dns_update *u)
{
    buf_free(&u->head);
    buf_free(&u->prerequisites);
    buf_free(&u->changes);
    if (u->pkt)
        libldns.pkt_free(u->pkt);
    u->pkt = NULL;
}

static void prerequisite(struct dns_update *u, const char *name, uint16_t type, uint16_t class,
                         const void *data, size_t len)
{
    put_record(&u->prerequisites, name, type, class, 0, data, len);
    u->prerequisite_count++;
}

void dns_update_require_unused(struct dns_update *u, const char *name)
{
    prerequisite(u, name, TYPE_ANY, CLASS_NONE, "", 0);
}

void dns_update_require_none(struct dns_update *u, const char *name, enum dns_type type)
{
    prerequisite(u, name, (uint16_t)type, CLASS_NONE, "", 0);
}

void dns_update_require(struct dns_update *u, const char *name, enum dns_type type,
                        const void *data, size_t len)
{
    prerequisite(u, name, (uint16_t)type, CLASS_IN, data, len);
}

static void change(struct dns_update *u, const char *name, uint16_t type, uint16_t class,
                   uint32_t ttl_s, const void *data, size_t len)
{
    put_record(&u->changes, name, type, class, ttl_s, data, len);
    u->change_count++;
}

void dns_update_delete_name(struct dns_update *u, const char *name)
{
    change(u, name, TYPE_ANY, CLASS_ANY, 0, "", 0);
}

void dns_update_delete_set(struct dns_update *u, const char *name, enum dns_type type)
{
    change(u, name, (uint16_t)type, CLASS_ANY, 0, "", 0);
}

void dns_update_delete(struct dns_update *u, const char *name, enum dns_type type, const void *data,
                       size_t len)
{
    change(u, name, (uint16_t)type, CLASS_NONE, 0, data, len);
}

void dns_update_add(struct dns_update *u, const char *name, enum dns_type type, uint32_t ttl_s,
                    const void *data, size_t len)
{
    change(u, name, (uint16_t)type, CLASS_IN, ttl_s, data, len);
}

/* ---- signing ---- */

static void put_message(const struct dns_update *u, struct buf *out)
{
    uint16_t id;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        abort();
    put_16(out, id);
    put_16(out, OPCODE_UPDATE << 11);
    put_16(out, 1);
    put_16(out, u->prerequisite_count);
    put_16(out, u->change_count);
    put_16(out, 0);
    buf_append(out, u->head.data, u->head.len);
    buf_append(out, u->prerequisites.data, u->prerequisites.len);
    buf_append(out, u->changes.data, u->changes.len);
}

/* Signs what is in *message and replaces it by the signed one. */
static int sign(struct dns_update *u, const struct dns_key *key, struct buf *message,
                struct err *err)
{
    uint8_t *wire = NULL;
    size_t len = 0;
    if (libldns_load(err) < 0)
        return -1;
    char *name = xasprintf("%s.", key->name), *algorithm = xasprintf("%s.", key->algorithm);
    int status = libldns.wire2pkt(&u->pkt, (uint8_t *)message->data, message->len);
    if (status == LDNS_STATUS_OK)
        status = libldns.pkt_tsig_sign(u->pkt, name, key->secret, FUDGE_S, algorithm, NULL);
    if (status == LDNS_STATUS_OK)
        status = libldns.pkt2wire(&wire, u->pkt, &len);
    free(name);
    free(algorithm);
    if (status != LDNS_STATUS_OK)
        return err_set(err, "io", "cannot sign an update with key %s: %s", key->name,
                       libldns.get_errorstr_by_id((ldns_status)status));
    buf_free(message);
    buf_append(message, wire, len);
    free(wire);
    return 0;
}

int dns_update_finish(struct dns_update *u, const struct dns_key *key, struct buf *ret_message,
                      struct err *err)
{
    put_message(u, ret_message);
    if (ret_message->len > MAX_MESSAGE)
        return err_set(err, "invalid", "the update is too big for the DNS: %zu bytes",
                       ret_message->len);
    return key ? sign(u, key, ret_message, err) : 0;
}

/* ---- the answer's signature ---- */

enum { TSIG_TIME = 1, TSIG_MAC = 3, TSIG_ERROR = 5, TSIG_OTHER = 6, TSIG_FIELDS = 7 };
enum { BADSIG = 16, BADKEY = 17, BADTIME = 18, BADTRUNC = 22 };

struct signature {
    bool present, valid;
    unsigned error;
    int64_t signed_at;
    int64_t server_time; /* 0: not told */
};

static int64_t read_48(const uint8_t *b)
{
    int64_t value = 0;
    for (int i = 0; i < 6; i++)
        value = value << 8 | b[i];
    return value;
}

static const uint8_t *field(const ldns_rr *tsig, size_t at, size_t least)
{
    const ldns_rdf *rdf = libldns.rr_rdf(tsig, at);
    return rdf && libldns.rdf_size(rdf) >= least ? libldns.rdf_data(rdf) : NULL;
}

static void read_fields(const ldns_rr *tsig, struct signature *s)
{
    const uint8_t *time_signed = field(tsig, TSIG_TIME, 6), *error = field(tsig, TSIG_ERROR, 2),
                  *other = field(tsig, TSIG_OTHER, 8);
    s->present = time_signed && error;
    if (!s->present)
        return;
    s->signed_at = read_48(time_signed);
    s->error = (unsigned)error[0] << 8 | error[1];
    if (other && other[0] == 0 && other[1] == 6)
        s->server_time = read_48(other + 2);
}

static struct signature read_signature(const struct dns_update *u, const struct dns_message *answer,
                                       const struct dns_key *key)
{
    struct signature s = {0};
    ldns_pkt *pkt = NULL;
    if (libldns.wire2pkt(&pkt, answer->bytes, answer->len) != LDNS_STATUS_OK)
        return s;
    const ldns_rr *tsig = libldns.pkt_tsig(pkt);
    if (tsig && libldns.rr_rd_count(tsig) == TSIG_FIELDS) {
        char *name = xasprintf("%s.", key->name);
        read_fields(tsig, &s);
        s.valid = s.present &&
                  libldns.pkt_tsig_verify(pkt, answer->bytes, answer->len, name, key->secret,
                                          libldns.rr_rdf(libldns.pkt_tsig(u->pkt), TSIG_MAC));
        free(name);
    }
    libldns.pkt_free(pkt);
    return s;
}

/* ---- judging ---- */

typedef const struct dns_update_context context;

static int bad_time(const context *c, const struct signature *s, struct err *err)
{
    char theirs[STAMP_SIZE], ours[STAMP_SIZE];
    int64_t now = (int64_t)time(NULL), off = s->server_time - now;
    stamp_format(ours, (time_t)now, 0);
    if (!s->valid || s->server_time <= 0 || s->server_time > INT32_MAX * (int64_t)100)
        return err_set(err, "denied",
                       "%s: refuses the update, because this machine's clock (%s) is more than "
                       "%d s from its own: set both clocks (NTP)",
                       c->server, ours, FUDGE_S);
    stamp_format(theirs, (time_t)s->server_time, 0);
    return err_set(err, "denied",
                   "%s: refuses the update, because its clock (%s) and this machine's (%s) are "
                   "%lld s apart, more than %d: set both clocks (NTP)",
                   c->server, theirs, ours, (long long)(off < 0 ? -off : off), FUDGE_S);
}

static int bad_signature(const context *c, const struct signature *s, struct err *err)
{
    const struct dns_key *key = c->key;
    if (s->error == BADTIME)
        return bad_time(c, s, err);
    if (s->error == BADKEY)
        return err_set(err, "denied",
                       "%s: knows no key %s with %s that may update zone %s: give it this key and "
                       "let it update the zone, or name another file than %s in dnsKeyFile",
                       c->server, key->name, key->algorithm, c->zone, c->key_file);
    return err_set(err, "denied",
                   "%s: does not accept the signature by key %s: the secret in %s is not the one "
                   "that the server has",
                   c->server, key->name, c->key_file);
}

static int refused(const context *c, struct err *err)
{
    if (!c->key)
        return err_set(err, "denied",
                       "%s: refuses to update zone %s without a key: set dnsKeyFile to a file with "
                       "a TSIG key that may",
                       c->server, c->zone);
    return err_set(err, "denied",
                   "%s: refuses that key %s updates zone %s: allow it there (BIND: update-policy "
                   "or allow-update; Knot: acl with action update)",
                   c->server, c->key->name, c->zone);
}

static int failed(const context *c, enum dns_rcode rcode, struct err *err)
{
    switch (rcode) {
    case DNS_REFUSED:
        return refused(c, err);
    case DNS_NOTAUTH:
        if (!c->key)
            return refused(c, err);
        return err_set(err, "denied",
                       "%s: is not the server that updates zone %s, or does not let key %s: set "
                       "dnsServer to the zone's primary, and allow the key there",
                       c->server, c->zone, c->key->name);
    case DNS_NOTZONE:
        return err_set(err, "invalid",
                       "%s: says that the names do not lie in zone %s: set dnsDomain to the zone "
                       "or a name below it",
                       c->server, c->zone);
    case DNS_NOTIMP:
        return err_set(err, "denied",
                       "%s: takes no updates (NOTIMP): set dnsServer to a server that does",
                       c->server);
    case DNS_SERVFAIL:
        return err_set(err, "bad_reply",
                       "%s: failed to update zone %s (SERVFAIL): its log says why, often a folder "
                       "or journal that it cannot write, or more records of a service than BIND's "
                       "max-records-per-type (100) lets be",
                       c->server, c->zone);
    default:
        return err_set(err, "bad_reply", "%s: refuses the update of zone %s: %s", c->server,
                       c->zone, dns_rcode_name(rcode));
    }
}

static bool is_unmet(enum dns_rcode rcode)
{
    return rcode == DNS_YXDOMAIN || rcode == DNS_NXDOMAIN || rcode == DNS_YXRRSET ||
           rcode == DNS_NXRRSET;
}

enum dns_update_result dns_update_judge(const struct dns_update *u,
                                        const struct dns_message *answer,
                                        const struct dns_update_context *c, struct err *err)
{
    struct signature s = {0};
    if (u->pkt)
        s = read_signature(u, answer, c->key);
    if (s.present && s.error) {
        bad_signature(c, &s, err);
        return DNS_FAILED;
    }
    bool unmet = is_unmet(answer->rcode);
    if (!unmet && answer->rcode != DNS_NOERROR) {
        failed(c, answer->rcode, err);
        return DNS_FAILED;
    }
    int64_t off = s.signed_at - (int64_t)time(NULL);
    if (u->pkt && (!s.valid || off > FUDGE_S || off < -FUDGE_S)) {
        err_set(err, "bad_reply",
                "%s: the answer to an update is not signed with key %s, as it must be: somebody "
                "else may have answered",
                c->server, c->key->name);
        return DNS_FAILED;
    }
    return unmet ? DNS_UNMET : DNS_UPDATED;
}
