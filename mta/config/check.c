/*
 * check - what no single statement shows.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "mta/config/load.h"

enum {
    SOCKET_PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
    DERIVED_BYTES_MAX = GRAMMAR_WORD_BYTES_MAX + HOST_NAME_BYTES_MAX,
};

static const struct grammar_place whole_file = {0, 0, 0};
static const uint64_t retry_default_s[] = {60, 300, 900, 1800};
enum { RETRY_DEFAULT_COUNT = sizeof retry_default_s / sizeof retry_default_s[0] };

static void fill_names(struct loader *l)
{
    struct config *c = &l->config;
    uint8_t memory[DERIVED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (c->hostname.len == 0) {
        system_hostname(&text);
        c->hostname = image_text(l, buf_bytes(&text));
        CONFIG_WARNING(l, whole_file, BYTES("`hostname' is not given; this host calls itself "), buf_bytes(&text));
    }
    if (c->mail_domain.len == 0) c->mail_domain = c->hostname;
    struct bytes hostname = image_bytes_of(l, c->hostname);
    if (bytes_find(hostname, '.') == hostname.len) {
        CONFIG_WARNING(l, whole_file, BYTES("the hostname `"), hostname,
                       BYTES("' has no dot; many servers refuse mail from such a host"));
    }
    if (c->postmaster.len == 0) {
        text = BUF_OVER(memory);
        BUF_LIT(&text, "root@");
        buf_put(&text, hostname);
        c->postmaster = image_text(l, buf_bytes(&text));
    }
}

static void fill_control_socket(struct loader *l)
{
    struct config *c = &l->config;
    uint8_t memory[DERIVED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (c->control_socket.len == 0) {
        buf_put(&text, image_bytes_of(l, c->run_dir));
        BUF_LIT(&text, "/control.sock");
        c->control_socket = image_text(l, buf_bytes(&text));
    }
    if (c->control_socket.len <= SOCKET_PATH_BYTES_MAX) return;
    CONFIG_ERROR(l, whole_file, BYTES("the path of the control socket, `"), image_bytes_of(l, c->control_socket),
                 BYTES("', is too long; expected at most 107 octets"));
}

static void fill_queue(struct loader *l)
{
    struct config *c = &l->config;
    if (!c->queue.retry_exact) {
        c->queue.retry_count = RETRY_DEFAULT_COUNT;
        memcpy(c->queue.retry_s, retry_default_s, sizeof retry_default_s);
    }
    if (c->queue.delay_warning_s >= c->queue.expire_s && c->queue.delay_warning_s > 0) {
        CONFIG_WARNING(l, whole_file, BYTES("`delay-warning' of queue is not before `expire': nobody will be warned"));
    }
    if (c->queue.max_bytes > 0 && c->queue.max_bytes < 2 * c->queue.segment_bytes) {
        CONFIG_ERROR(l, whole_file,
                     BYTES("`max-size' of queue is less than two segments; expected at least twice `segment-size'"));
    }
    c->resolver.use_stub = c->resolver.stub.family != NET_NONE;
    if (c->log.ident.len == 0) c->log.ident = image_text(l, BYTES("mta"));
}

static const struct config_match *route_matches(const struct loader *l, const struct config_route *r)
{
    return (const struct config_match *)(const void *)(l->image.items + r->matches.offset);
}

static bool matches_everything(const struct loader *l, const struct config_route *r)
{
    for (uint32_t i = 0; i < r->matches.count; i++) {
        if (route_matches(l, r)[i].kind != MATCH_ANY) return false;
    }
    return r->matches.count > 0;
}

static bool names_recipients(const struct loader *l, const struct config_route *r)
{
    for (uint32_t i = 0; i < r->matches.count; i++) {
        uint8_t kind = route_matches(l, r)[i].kind;
        if (kind == MATCH_RCPT_DOMAIN || kind == MATCH_RCPT) return true;
    }
    return false;
}

static struct grammar_place line_place(const struct loader *l, struct config_text file, uint32_t line)
{
    struct bytes path = image_bytes_of(l, file);
    for (uint32_t i = 0; i < l->files.count; i++) {
        if (bytes_equal(bytes_of_cstr(ARRAY_ITEM(&l->files, i, struct source_file)->path),
                        path)) return (struct grammar_place){i, line, 1};
    }
    return whole_file;
}

static struct grammar_place route_place(const struct loader *l, const struct config_route *r) { return line_place(l, r->file, r->line); }

static void check_routes(struct loader *l, bool *strangers)
{
    const struct config_route *all = NULL;
    for (uint32_t i = 0; i < l->routes.count; i++) {
        struct config_route *r = ARRAY_ITEM(&l->routes, i, struct config_route);
        if (r->connections_max == 0) r->connections_max = l->config.limits.destination_connections;
        if (all) {
            CONFIG_WARNING(l, route_place(l, r), BYTES("route `"), image_bytes_of(l, r->name),
                           BYTES("' is never reached: route `"),
                           image_bytes_of(l, all->name), BYTES("' before it matches everything"));
        } else if (matches_everything(l, r)) {
            all = r;
        }
        if (names_recipients(l, r)) *strangers = true;
        if (r->check == CHECK_LMTP && r->action != ACTION_LMTP) {
            CONFIG_ERROR(l, route_place(l, r), BYTES("route `"), image_bytes_of(l, r->name), BYTES("' has `recipient-check lmtp' without `lmtp'"));
        }
    }
    if (l->routes.count == 0) CONFIG_ERROR(l, whole_file,
                                           BYTES("there is no route; expected at least one, such as route default { match any; mx }"));
}

static bool is_wildcard(const struct net_address *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* The kernel gives a port of all addresses and the same port of one address to one socket only. */
static void check_address_twice(struct loader *l, const struct config_listener *a, uint32_t n, const struct config_listener *b)
{
    const struct net_address *left = (const struct net_address *)(const void *)(l->image.items + a->addresses.offset);
    const struct net_address *right = (const struct net_address *)(const void *)(l->image.items + b->addresses.offset);
    for (uint32_t i = 0; i < b->addresses.count; i++) {
        if (left[n].port != right[i].port || left[n].family != right[i].family) continue;
        bool same = net_same_ip(&left[n], &right[i]);
        if (!same && !is_wildcard(&left[n]) && !is_wildcard(&right[i])) continue;
        uint8_t memory[NET_TEXT_BYTES_MAX];
        struct buf text = BUF_OVER(memory);
        net_print_ip_port(&text, is_wildcard(&left[n]) ? &right[i] : &left[n]);
        if (!same) {
            CONFIG_ERROR(l, whole_file, BYTES("listen `"), image_bytes_of(l, is_wildcard(&left[n]) ? a->name : b->name),
                         BYTES("' takes the port on every address, so listen `"), image_bytes_of(l, is_wildcard(&left[n]) ? b->name : a->name),
                         BYTES("' cannot have "), buf_bytes(&text), BYTES(" of its own; name the addresses instead of `*'"));
            continue;
        }
        CONFIG_ERROR(l, whole_file, BYTES("listen `"), image_bytes_of(l, a->name), BYTES("' and listen `"),
                     image_bytes_of(l, b->name),
                     BYTES("' both have the address "), buf_bytes(&text));
    }
}

/* find_rules - the block that a listener names. */
static void find_rules(struct loader *l, struct config_listener *listener)
{
    struct bytes name = image_bytes_of(l, listener->rules_name);
    struct nearest near = nearest_to(name);
    for (uint32_t i = 0; i < l->rules.count; i++) {
        struct bytes other = image_bytes_of(l, ARRAY_ITEM(&l->rules, i, struct config_rules)->name);
        nearest_offer(&near, other);
        if (bytes_equal(name, other)) listener->rules = i + 1;
    }
    if (name.len == 0 || listener->rules > 0) return;
    error_with_nearest(l, whole_file, &near, PIECES(BYTES("listen `"), image_bytes_of(l, listener->name), BYTES("' has rules `"), name,
                       BYTES("', which there are not")));
}

static void check_socket_twice(struct loader *l, const struct config_listener *a, const struct config_listener *b)
{
    struct bytes path = image_bytes_of(l, a->socket);
    if (path.len == 0 || !bytes_equal(path, image_bytes_of(l, b->socket))) return;
    CONFIG_ERROR(l, whole_file, BYTES("listen `"), image_bytes_of(l, a->name), BYTES("' and listen `"), image_bytes_of(l, b->name),
                 BYTES("' both have the socket "), path);
}

static void check_listeners(struct loader *l, bool *trusted)
{
    for (uint32_t i = 0; i < l->listeners.count; i++) {
        struct config_listener *a = ARRAY_ITEM(&l->listeners, i, struct config_listener);
        find_rules(l, a);
        if (a->trust.count > 0 || a->socket.len > 0) *trusted = true;
        if (bytes_equal(image_bytes_of(l, a->socket), image_bytes_of(l, l->config.control_socket))) {
            CONFIG_ERROR(l, whole_file, BYTES("listen `"), image_bytes_of(l, a->name), BYTES("' has the socket of mtactl; expected another path"));
        }
        for (uint32_t k = 0; k < i; k++) {
            const struct config_listener *b = ARRAY_ITEM(&l->listeners, k, struct config_listener);
            for (uint32_t n = 0; n < a->addresses.count; n++) check_address_twice(l, a, n, b);
            check_socket_twice(l, a, b);
        }
    }
    if (l->listeners.count == 0) CONFIG_WARNING(l, whole_file, BYTES("there is no listen: no mail can come in"));
}

/* check_listen_tls - the tls block that each listener names. */
static void check_listen_tls(struct loader *l)
{
    for (uint32_t i = 0; i < l->listeners.count; i++) {
        struct config_listener *a = ARRAY_ITEM(&l->listeners, i, struct config_listener);
        struct bytes name = image_bytes_of(l, a->tls_name);
        if (a->tls == LISTEN_TLS_OFF) continue;
        struct nearest near = nearest_to(name);
        uint32_t found = 0;
        for (; found < l->tls.count; found++) {
            struct bytes other = image_bytes_of(l, ARRAY_ITEM(&l->tls, found, struct config_tls)->name);
            nearest_offer(&near, other);
            if (bytes_equal(other, name)) break;
        }
        a->tls_block = (uint16_t)found;
        if (found == l->tls.count)
            error_with_nearest(l, whole_file, &near, PIECES(BYTES("listen `"), image_bytes_of(l, a->name), BYTES("' names tls `"), name,
                               BYTES("', and there is no such block; expected tls NAME { certificate PATH; key PATH }")));
    }
}

/* check_listen_auth - the auth block that each listener names; passwords are taken under TLS only, so there must be some. */
static void check_listen_auth(struct loader *l, bool *trusted)
{
    for (uint32_t i = 0; i < l->listeners.count; i++) {
        struct config_listener *a = ARRAY_ITEM(&l->listeners, i, struct config_listener);
        struct bytes wanted = image_bytes_of(l, a->auth), name = image_bytes_of(l, a->name);
        struct nearest near = nearest_to(wanted);
        uint32_t found = 0;
        if (wanted.len == 0 && a->owners_table.len > 0)
            CONFIG_ERROR(l, whole_file, BYTES("listen `"), name, BYTES("' has `sender-logins' without `auth': nobody can log in there"));
        if (wanted.len == 0) continue;
        *trusted = true;
        for (; found < l->auths.count; found++) {
            struct bytes other = image_bytes_of(l, ARRAY_ITEM(&l->auths, found, struct config_auth)->name);
            nearest_offer(&near, other);
            if (bytes_equal(other, wanted)) break;
        }
        a->auth_block = (uint16_t)found;
        if (found == l->auths.count)
            error_with_nearest(l, whole_file, &near, PIECES(BYTES("listen `"), name, BYTES("' names auth `"), wanted,
                               BYTES("', and there is no such block; expected auth NAME { file PATH } or auth NAME { dovecot PATH }")));
        else if (a->tls == LISTEN_TLS_OFF)
            CONFIG_ERROR(l, whole_file, BYTES("listen `"), name,
                         BYTES("' has `auth' without `tls': nobody could log in, since passwords are taken under TLS only"));
    }
}

/* check_tls_file - who checks may not be who starts, so that a file which cannot be seen is no error here; the start judges what is in it. */
static void check_tls_file(struct loader *l, const struct config_tls *t, struct config_text file)
{
    char name[GRAMMAR_WORD_BYTES_MAX + 1];
    struct bytes path = image_bytes_of(l, file);
    if (path.len == 0 || path.len >= sizeof name) return;
    memcpy(name, path.ptr, path.len);
    name[path.len] = 0;
    if (access(name, R_OK) == 0) return;
    CONFIG_WARNING(l, line_place(l, t->file, t->line), BYTES("tls `"), image_bytes_of(l, t->name), BYTES("': cannot read `"), path, BYTES("': "),
                   bytes_of_cstr(strerror(errno)));
}

static void check_tls(struct loader *l)
{
    for (uint32_t i = 0; l->files_allowed && i < l->tls.count; i++) {
        const struct config_tls *t = ARRAY_ITEM(&l->tls, i, struct config_tls);
        for (uint32_t k = 0; k < t->certificate_count; k++) {
            check_tls_file(l, t, t->certificates[k].chain);
            check_tls_file(l, t, t->certificates[k].key);
        }
    }
}

/* check_mailbox_user - a start as root would fail on it; without root it does not matter, so it is no error here. */
static void check_mailbox_user(struct loader *l)
{
    char name[256];
    struct bytes user = image_bytes_of(l, l->config.mailbox.user);
    if (user.len == 0 || user.len >= sizeof(name)) return;
    memcpy(name, user.ptr, user.len);
    name[user.len] = 0;
    if (getpwnam(name) == NULL) {
        CONFIG_WARNING(l, whole_file, BYTES("mailbox { user "), user, BYTES(" }: this machine has no such user; mtad will not start as root before it is made"));
    }
}

static void check_srs(struct loader *l)
{
    const struct config *c = &l->config;
    if ((c->srs.domain.len > 0) != (c->srs.secret.len > 0)) CONFIG_ERROR(l, whole_file, BYTES("`srs' lacks `domain' or `secret'; expected both"));
}

void check_whole(struct loader *l)
{
    bool trusted = false, strangers = false;
    fill_names(l);
    fill_control_socket(l);
    fill_queue(l);
    check_listeners(l, &trusted);
    check_tls(l);
    check_listen_tls(l);
    check_listen_auth(l, &trusted);
    check_mailbox_user(l);
    check_srs(l);
    check_routes(l, &strangers);
    if (l->errors == 0 && l->listeners.count > 0 && !trusted && !strangers) {
        CONFIG_WARNING(l, whole_file,
                       BYTES("no listen has `trust' and no route names recipients by rcpt-domain or rcpt: all mail will be refused"));
    }
}
