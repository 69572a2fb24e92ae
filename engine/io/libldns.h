/* libldns.h -- libldns.so.3, loaded at its first use: ldns_x() is written libldns.x(). See
 * io/library.h. It brings OpenSSL's libcrypto with it. */
#pragma once
#include <ldns/ldns.h>

struct err;

#define LIBLDNS_FUNCTIONS(X)                                                                       \
    X(get_errorstr_by_id)                                                                          \
    X(pkt2wire)                                                                                    \
    X(pkt_free)                                                                                    \
    X(pkt_tsig)                                                                                    \
    X(pkt_tsig_sign)                                                                               \
    X(pkt_tsig_verify)                                                                             \
    X(rdf_data)                                                                                    \
    X(rdf_size)                                                                                    \
    X(rr_rd_count)                                                                                 \
    X(rr_rdf)                                                                                      \
    X(wire2pkt)

struct libldns {
#define X(name) __typeof__(&ldns_##name) name;
    LIBLDNS_FUNCTIONS(X)
#undef X
};

extern struct libldns libldns; /* written only by libldns_load() */

/* Loads the library unless it is loaded. Call it before anything of `libldns`. */
int libldns_load(struct err *err);
