/*
 * log: one line an event, on stderr, written by shells and never by cores.
 *
 * JSON (the default of our servers, the shape of upstream's zap lines) or key=value. Fields are
 * given in place:
 *
 *     log_info("embed", "ready to serve client requests", LOG_STR("address", addr), LOG_U64("n",
 * 3));
 *
 * Never give a secret to a field. Lines longer than LOG_LINE_MAX are cut. Safe from any thread: a
 * line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/util.h"

#define LOG_LINE_MAX 4096

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };
enum log_format { LOG_JSON, LOG_KV };

enum log_kind { LOG_END, LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_HEX, LOG_KIND_BOOL };
struct log_field {
    enum log_kind kind;
    const char *name;
    const char *str;
    uint64_t num;
};
#define LOG_STR(name, s)  ((struct log_field){LOG_KIND_STR, (name), (s), 0})
#define LOG_U64(name, v)  ((struct log_field){LOG_KIND_U64, (name), NULL, (uint64_t)(v)})
#define LOG_I64(name, v)  ((struct log_field){LOG_KIND_I64, (name), NULL, (uint64_t)(int64_t)(v)})
#define LOG_HEX(name, v)  ((struct log_field){LOG_KIND_HEX, (name), NULL, (v)})
#define LOG_BOOL(name, v) ((struct log_field){LOG_KIND_BOOL, (name), NULL, (v) ? 1 : 0})

/* Lines below level are dropped. fd is borrowed. Call before threads start. */
void log_setup(enum log_level level, enum log_format format, int fd);
/* "debug", "info", "warn", "error", "panic", "fatal" (the last two: fatal); 0 or -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret_level);
bool log_enabled(enum log_level level);
/* component: a short fixed word. fields ends with kind LOG_END. */
void log_write(enum log_level level, const char *component, const char *msg,
               const struct log_field *fields);

#define log_at(level, component, msg, ...)                                                         \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write((level), (component), (msg),                                                 \
                      (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){LOG_END}});            \
    } while (0)
#define log_debug(component, msg, ...) log_at(LOG_DEBUG, component, msg, __VA_ARGS__)
#define log_info(component, msg, ...)  log_at(LOG_INFO, component, msg, __VA_ARGS__)
#define log_warn(component, msg, ...)  log_at(LOG_WARN, component, msg, __VA_ARGS__)
#define log_error(component, msg, ...) log_at(LOG_ERROR, component, msg, __VA_ARGS__)
#define log_fatal(component, msg, ...) log_at(LOG_FATAL, component, msg, __VA_ARGS__)

#endif
