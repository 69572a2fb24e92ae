/* dns_names.h -- what the records of discovery are called in the DNS.
 *
 * Names are those of RFC 6763: _pds._tcp.DOMAIN lists pds@edge._pds._tcp.DOMAIN. The DNS ignores
 * case and bounds a label to 63 bytes: a service or id that has capitals or is longer is made a
 * label by its lower-case start and a hash, and told in full by the text beside it. */
#pragma once
#include <stdbool.h>

/* The caller frees what is returned. */
char *dns_services_name(const char *domain);                     /* lists the services */
char *dns_service_name(const char *domain, const char *service); /* lists its instances */
char *dns_instance_name(const char *domain, const char *service, const char *id);

/* A host name for an instance that has an address only: pds-edge-1f0c2ab9.addr.DOMAIN. */
char *dns_host_name(const char *domain, const char *service, const char *id);
bool dns_is_host_name(const char *domain, const char *name);

bool dns_names_service(const char *service); /* its label is its name */

/* Whether `name` is _x._tcp.DOMAIN; then the x is in *ret_label (owned by the caller). */
bool dns_service_label(const char *domain, const char *name, char **ret_label);
bool dns_label_is_hashed(const char *label);

/* Whether `name` ends in ".DOMAIN" or is DOMAIN. */
bool dns_is_within(const char *domain, const char *name);
