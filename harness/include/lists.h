/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list.h and rbtree.h, as far as the vGICs use them. Lists are the C vGICs'
 * inner loops and as cheap as Xen's.
 */
#ifndef MOCK_LISTS_H
#define MOCK_LISTS_H

/* Lists: a ring through the head ********************************************/

struct list_head { struct list_head *next, *prev; };

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *list)
{
    list->next = list->prev = list;
}

static inline bool list_empty(const struct list_head *list)
{
    return list->next == list;
}

static inline bool list_head_is_null(const struct list_head *list)
{
    return !list->next && !list->prev;
}

static inline bool list_is_last(const struct list_head *entry, const struct list_head *head)
{
    return entry->next == head;
}

static inline void list_link_(struct list_head *entry, struct list_head *before,
                              struct list_head *after)
{
    entry->prev = before;
    entry->next = after;
    before->next = entry;
    after->prev = entry;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
    list_link_(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
    list_link_(entry, head->prev, head);
}

static inline void list_del(struct list_head *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
}

static inline void list_del_init(struct list_head *entry)
{
    list_del(entry);
    INIT_LIST_HEAD(entry);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_of_(pos, p, member) list_entry(p, __typeof__(*(pos)), member)

#define list_for_each_entry(pos, head, member) \
    for ( (pos) = list_of_(pos, (head)->next, member); &(pos)->member != (head); \
          (pos) = list_of_(pos, (pos)->member.next, member) )

#define list_for_each_entry_reverse(pos, head, member) \
    for ( (pos) = list_of_(pos, (head)->prev, member); &(pos)->member != (head); \
          (pos) = list_of_(pos, (pos)->member.prev, member) )

#define list_for_each_entry_safe(pos, after, head, member) \
    for ( (pos) = list_of_(pos, (head)->next, member), \
          (after) = list_of_(pos, (pos)->member.next, member); \
          &(pos)->member != (head); \
          (pos) = (after), (after) = list_of_(pos, (after)->member.next, member) )

/* rbtree.h: where a domain's devices hang, which its.c keeps in a chain *******/

struct rb_root { struct its_device *first; };
#define RB_ROOT ((struct rb_root){ NULL })
#define RB_EMPTY_ROOT(root) (!(root)->first)

#endif /* MOCK_LISTS_H */
