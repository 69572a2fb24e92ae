/* yaml_scalar.h -- what a plain scalar of YAML stands for: the core schema of YAML 1.2.
 *
 * With one difference: a number with a leading zero stays a string, since 0640 means one thing to
 * YAML 1.1 and another to 1.2. */
#pragma once

enum yaml_kind {
    YAML_IS_STRING,
    YAML_IS_NULL,
    YAML_IS_TRUE,
    YAML_IS_FALSE,
    YAML_IS_INTEGER,
    YAML_IS_FLOAT,
    YAML_IS_TOO_BIG, /* a whole number of more than 64 bits */
};

struct yaml_scalar {
    enum yaml_kind kind;
    long long integer;
    double number;
};

struct yaml_scalar yaml_resolve(const char *text);
