/* check_kinds.h -- every kind of check, one line each: KIND(name) is check_<name> in
 * check_<name>.c. */
#ifndef KIND
#define KIND(name) extern const struct check_kind check_##name;
#endif
KIND(command)
KIND(file)
KIND(http)
KIND(systemd)
KIND(tcp)
#undef KIND
