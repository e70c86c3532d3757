/* SPDX-License-Identifier: GPL-2.0-only */
/* See collections.h. */

#include "mock.h"

/* Of two chains that end with NULL, `a` being what came first. */
static struct list_head *merge(void *priv, list_compare_t *compare, struct list_head *a,
                               struct list_head *b)
{
    struct list_head *merged = NULL, **end = &merged;

    while ( a && b )
    {
        struct list_head **from = compare(priv, a, b) > 0 ? &b : &a;

        *end = *from;
        end = &(*from)->next;
        *from = *end;
    }
    *end = a ?: b;

    return merged;
}

void list_sort(void *priv, struct list_head *head, list_compare_t *compare)
{
    /* Chain n has 2^n entries, or none. */
    struct list_head *chains[32] = { NULL }, *entry = head->next, *sorted = NULL;
    unsigned int n;

    while ( entry != head )
    {
        struct list_head *chain = entry;

        entry = entry->next;
        chain->next = NULL;
        for ( n = 0; chains[n] && n + 1 < ARRAY_SIZE(chains); n++ )
        {
            chain = merge(priv, compare, chains[n], chain);
            chains[n] = NULL;
        }
        chains[n] = chain;
    }
    for ( n = 0; n < ARRAY_SIZE(chains); n++ )
        if ( chains[n] )
            sorted = merge(priv, compare, chains[n], sorted);

    INIT_LIST_HEAD(head);
    while ( sorted )
    {
        entry = sorted;
        sorted = sorted->next;
        list_add_tail(entry, head);
    }
}

/* Where the index is, or would be. */
static unsigned int radix_place(const struct radix_tree_root *root, unsigned long index)
{
    unsigned int low = 0, high = root->count;

    while ( low < high )
    {
        unsigned int middle = low + (high - low) / 2;

        if ( root->items[middle].index < index )
            low = middle + 1;
        else
            high = middle;
    }

    return low;
}

static bool radix_is_at(const struct radix_tree_root *root, unsigned int n, unsigned long index)
{
    return n < root->count && root->items[n].index == index;
}

int radix_tree_insert(struct radix_tree_root *root, unsigned long index, void *item)
{
    unsigned int n = radix_place(root, index);

    if ( radix_is_at(root, n, index) )
        return -EEXIST;
    if ( root->count == root->room )
    {
        unsigned int room = root->room ? root->room * 2 : 32;
        struct radix_tree_item *items = xzalloc_array(struct radix_tree_item, room);

        if ( !items )
            return -ENOMEM;
        if ( root->count )
            memcpy(items, root->items, root->count * sizeof(*items));
        xfree(root->items);
        root->items = items;
        root->room = room;
    }
    memmove(&root->items[n + 1], &root->items[n], (root->count - n) * sizeof(*root->items));
    root->items[n] = (struct radix_tree_item){ index, item };
    root->count++;

    return 0;
}

void *radix_tree_lookup(struct radix_tree_root *root, unsigned long index)
{
    unsigned int n = radix_place(root, index);

    return radix_is_at(root, n, index) ? root->items[n].item : NULL;
}

void *radix_tree_delete(struct radix_tree_root *root, unsigned long index)
{
    unsigned int n = radix_place(root, index);
    void *item;

    if ( !radix_is_at(root, n, index) )
        return NULL;
    item = root->items[n].item;
    root->count--;
    memmove(&root->items[n], &root->items[n + 1], (root->count - n) * sizeof(*root->items));

    return item;
}

unsigned int radix_tree_gang_lookup(struct radix_tree_root *root, void **results,
                                    unsigned long first, unsigned int most)
{
    unsigned int n = radix_place(root, first), i;

    for ( i = 0; i < most && n + i < root->count; i++ )
        results[i] = root->items[n + i].item;

    return i;
}

void radix_tree_destroy(struct radix_tree_root *root, void (*free_item)(void *item))
{
    unsigned int n;

    for ( n = 0; free_item && n < root->count; n++ )
        free_item(root->items[n].item);
    xfree(root->items);
    radix_tree_init(root);
}
