/*
 * unbound - the library's context: full recursion with root hints and trust anchor, or all questions to a trusted resolver (stub).
 *
 * Its configuration is written to a memory file, since the interface takes a file name. Everything is read before lock-down: a question for a name that
 * the library answers itself makes it finish its start.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/resolver/library.h"
#include "mta/resolver/resolver.h"

/* Root hints are inside the library; the trust anchor comes from Debian's dns-root-data. */
static const char *const anchor_files[] = {"/usr/share/dns/root.key", "/var/lib/unbound/root.key", "/etc/unbound/root.key"};
enum { ANCHOR_BYTES_MAX = 64 * 1024, CONFIG_BYTES_MAX = 4096 };

/* Zones that the library would answer by itself; to a stub they may well be real. */
static const char *const local_zones[] = {"test.", "invalid.", "home.arpa.", "onion.", "168.192.in-addr.arpa.", "10.in-addr.arpa.", "2.0.192.in-addr.arpa.",
                                          "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.", "127.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.", "8.e.f.ip6.arpa.",
                                          "d.f.ip6.arpa."};

static void write_settings(const struct config *c, struct buf *out)
{
    BUF_LIT(out, "server:\n"
                 " num-threads: 1\n do-daemonize: no\n use-syslog: no\n verbosity: 0\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n"
                 " msg-cache-size: 16m\n rrset-cache-size: 32m\n outgoing-range: 512\n num-queries-per-thread: 1024\n"
                 " cache-max-negative-ttl: 60\n infra-host-ttl: 60\n edns-buffer-size: 1232\n"
                 " harden-glue: yes\n harden-dnssec-stripped: yes\n use-caps-for-id: no\n unblock-lan-zones: yes\n insecure-lan-zones: yes\n");
    if (!c->resolver.use_stub) return;
    BUF_LIT(out, " do-not-query-localhost: no\n qname-minimisation: no\n");
    if (c->resolver.anchor.len == 0) BUF_LIT(out, " module-config: \"iterator\"\n");
    for (uint32_t i = 0; i < sizeof local_zones / sizeof *local_zones; i++) {
        BUF_LIT(out, " local-zone: \"");
        buf_put_cstr(out, local_zones[i]);
        BUF_LIT(out, "\" nodefault\n");
    }
    uint32_t n = 0;
    for (uint32_t i = 172; n < 16; n++) {
        BUF_LIT(out, " local-zone: \"");
        buf_put_u64(out, 16 + n);
        buf_put_c(out, '.');
        buf_put_u64(out, i);
        BUF_LIT(out, ".in-addr.arpa.\" nodefault\n");
    }
    BUF_LIT(out, "forward-zone:\n name: \".\"\n forward-first: no\n forward-addr: ");
    net_print_ip(out, &c->resolver.stub);
    buf_put_c(out, '@');
    buf_put_u64(out, c->resolver.stub.port);
    buf_put_c(out, '\n');
}

static bool load_settings(struct ub_ctx *u, const struct config *c)
{
    static uint8_t store[CONFIG_BYTES_MAX];
    struct buf text = BUF_OVER(store);
    write_settings(c, &text);
    int fd = memfd_create("resolver-settings", MFD_CLOEXEC);
    if (fd < 0 || text.overflow || write(fd, text.ptr, text.len) != (ssize_t)text.len) return false;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool ok = library.settings(u, path) == 0;
    close(fd);
    return ok;
}

/* load_anchor - each line of a file that is a record; comments are left out. */
static bool load_anchor(struct ub_ctx *u, const char *const *files, uint32_t count)
{
    static char text[ANCHOR_BYTES_MAX];
    bool any = false;
    for (uint32_t i = 0; i < count && !any; i++) {
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (fd >= 0) close(fd);
        for (ssize_t from = 0; n > 0 && from < n;) {
            ssize_t end = from;
            while (end < n && text[end] != '\n') end++;
            text[end] = 0;
            if (end > from && text[from] != ';' && text[from] != '$') any |= library.anchor(u, text + from) == 0;
            from = end + 1;
        }
    }
    return any;
}

/* anchor - the one of the configuration, which must be good; else the system's, when we resolve by ourselves. */
static void anchor(struct process *p, struct ub_ctx *u, const struct config *c)
{
    char path[PATH_MAX];
    const char *file = path;
    struct bytes given = config_bytes(c, c->resolver.anchor);
    if (given.len == 0) {
        if (!c->resolver.use_stub && !load_anchor(u, anchor_files, sizeof anchor_files / sizeof *anchor_files))
            log_text(LOG_LEVEL_WARNING, "no DNSSEC trust anchor found (install dns-root-data): answers are not validated");
        return;
    }
    if (given.len < sizeof path) {
        memcpy(path, given.ptr, given.len);
        path[given.len] = 0;
        if (load_anchor(u, &file, 1)) return;
    }
    process_fatal(p, PROCESS_EXIT_FAILED, "resolver { trust-anchor }: no DS or DNSKEY record could be read", given, ERR_NOT_FOUND);
}

static void finished(void *context, int rcode, void *packet, int bytes, int secure, char *why, int rate_limited)
{
    (void)rcode;
    (void)packet;
    (void)bytes;
    (void)secure;
    (void)why;
    (void)rate_limited;
    *(bool *)context = true;
}

struct ub_ctx *unbound_open(struct process *p, struct ub_event_base *base)
{
    const struct config *c = process_config(p);
    const char *wrong = library_open();
    if (wrong)
        process_fatal(p, PROCESS_EXIT_FAILED, "cannot load the DNS library (Debian's packages libunbound8 and libidn2-0)", bytes_of_cstr(wrong), ERR_NOT_FOUND);
    struct ub_ctx *u = library.create(base);
    if (!u || !load_settings(u, c)) process_fatal(p, PROCESS_EXIT_FAILED, "cannot set up the DNS library", BYTES("libunbound"), ERR_SYSTEM);
    anchor(p, u, c);
    static bool done;
    int id = 0, e = library.resolve(u, "localhost.", DNS_A, 1, &done, finished, &id);
    if (e) process_fatal(p, PROCESS_EXIT_FAILED, "cannot start the DNS library", bytes_of_cstr(library.explain(e)), ERR_SYSTEM);
    return u;
}
