#include "io/library.h"

#include <dlfcn.h>

#include "core/err.h"

int library_load(const char *file, const char *const *names, size_t count, void **table,
                 struct err *err)
{
    if (table[count - 1])
        return 0;
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return err_set(err, "not_found", "cannot load %s: %s; install it as the README says", file,
                       dlerror());
    for (size_t i = 0; i < count; i++) {
        void *function = dlsym(library, names[i]);
        if (!function) {
            dlclose(library);
            table[count - 1] = NULL;
            return err_set(err, "not_found", "%s is too old: it has no %s", file, names[i]);
        }
        table[i] = function;
    }
    return 0;
}
