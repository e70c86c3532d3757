/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vGIC in a shared object reaches the Rust half of the mock Xen through
 * pointers, which that hands over by name after loading it.
 */

#include "mock.h"

#define SERVICE(result, name, parameters, arguments) \
    static result (*name##_service) parameters; \
    result name parameters; \
    result name parameters { return name##_service arguments; }
#include "services.def"
#undef SERVICE

#define SERVICE(result, name, parameters, arguments) \
    { #name, (void (**)(void))&name##_service },
static const struct { const char *name; void (**slot)(void); } services[] = {
#include "services.def"
};
#undef SERVICE

/* False: there is no such service. */
bool mock_bind(const char *name, void (*function)(void))
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(services); i++ )
        if ( !strcmp(services[i].name, name) )
        {
            *services[i].slot = function;
            return true;
        }

    return false;
}

/* The name of a service that has not been handed over, or NULL. */
const char *mock_unbound(void)
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(services); i++ )
        if ( !*services[i].slot )
            return services[i].name;

    return NULL;
}
