/* For static builds: names are resolved from /etc/hosts and by DNS, as in any container.
 *
 * A static glibc would also load the modules that the machine's nsswitch.conf names (mDNS, systemd-resolved). They belong
 * to another C library, and the process dies of it. Linked in, this runs before main and leaves them alone. */
#include <nss.h>

__attribute__((constructor)) static void resolve_without_modules(void) {
    __nss_configure_lookup("hosts", "files dns");
}
