#include "backend.h"

#include <string.h>

static const struct backend *const all[] = {
#define BACKEND(name) &backend_##name,
#include "list.h"
#undef BACKEND
};

const struct backend *backend_at(size_t index)
{
    return index < sizeof all / sizeof *all ? all[index] : NULL;
}

const struct backend *backend_find(const char *name)
{
    const struct backend *b;
    for (size_t i = 0; (b = backend_at(i)); i++)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}
