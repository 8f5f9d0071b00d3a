/* script.c: the edits of one round and the memory of their bytes: see reconcile.h. */
#include "reconcile.h"

#include "arena.h"
#include "err.h"

struct script {
    struct arena arena;
    struct edit *edits; /* one array: the journal takes it whole */
    size_t count, cap;
    size_t rows;
};

int script_new(struct script **out)
{
    struct script *script = calloc(1, sizeof *script);
    if (!script) {
        return ERR_NOMEM;
    }
    arena_init(&script->arena);
    *out = script;
    return 0;
}

void script_free(struct script *script)
{
    if (!script) {
        return;
    }
    arena_deinit(&script->arena);
    free(script->edits);
    free(script);
}

void script_clear(struct script *script)
{
    arena_reset(&script->arena);
    script->count = 0;
    script->rows = 0;
}

size_t script_count(const struct script *script)
{
    return script->count;
}

size_t script_rows(const struct script *script)
{
    return script->rows;
}

struct edit *script_get(const struct script *script, size_t index)
{
    return &script->edits[index];
}

static bool keep(struct script *script, struct bytes *bytes)
{
    if (bytes->len == 0) {
        *bytes = (struct bytes){NULL, 0};
        return true;
    }
    bytes->at = arena_copy(&script->arena, bytes->at, bytes->len);
    return bytes->at != NULL;
}

struct edit *script_add(struct script *script, const struct edit *edit)
{
    if (script->count == script->cap) {
        size_t cap = script->cap ? script->cap * 2 : 64;
        struct edit *grown = realloc(script->edits, cap * sizeof *grown);
        if (!grown) {
            return NULL;
        }
        script->edits = grown;
        script->cap = cap;
    }
    struct edit *copy = &script->edits[script->count];
    *copy = *edit;
    if (!keep(script, &copy->name) || !keep(script, &copy->to_name) || !keep(script, &copy->path) ||
        !keep(script, &copy->from) || !keep(script, &copy->attrs.target)) {
        return NULL;
    }
    script->count++;
    script->rows += !edit->quiet;
    return copy;
}
