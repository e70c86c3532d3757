/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the vGIC says on the console.
 */

#include <stdio.h>
#include <stdlib.h>

#include "half.h"

int parse_bool(const char *s, const char *e)
{
    return !strcmp(s, "off") ? 0 : !strcmp(s, "on") ? 1 : -1;
}

unsigned long long simple_strtoull(const char *s, const char **end, unsigned int base)
{
    char *stop;
    unsigned long long value = strtoull(s, &stop, base);

    *end = stop;

    return value;
}

static void vprint(const char *fmt, va_list args)
{
    char text[1200];
    int n = vsnprintf(text, sizeof(text), fmt, args);

    if ( n > 0 )
        mock_print(text, min((size_t)n, sizeof(text) - 1));
}

void printk(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprint(fmt, args);
    va_end(args);
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprint(fmt, args);
    vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}
