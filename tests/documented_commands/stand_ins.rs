//! Commands that would change the host that the tests run on, or need what a test has not. What
//! stands in for each does as much of it as can be done, and refuses what it does not know.

/// The name, why it is not the real one, and what is done, in bash. `ROOT` is the folder of the
/// world, and `CHECKOUT` that of the source.
pub(crate) const STAND_INS: [(&str, &str, &str); 13] = [
    (
        "apt",
        "installs: tests/package does that with the real package",
        r#"[ "$1" = install ]"#,
    ),
    (
        "cargo",
        "builds for minutes: the debug build of this test does instead",
        r#"case "$*" in
           "build --release") test -x target/release/zegel ;;
           "run --release -- "*) shift 3; exec zegel "$@" ;;
           "run --example "*) test -e "examples/$3" -o -e "examples/$3.rs" ;;
           *) exit 64 ;;
           esac"#,
    ),
    (
        "install",
        "the users of Zegel are not there: everything but the owner",
        r#"given=()
           while [ $# -gt 0 ]; do
               case $1 in -o|-g) [ "${2%-reports}" = zegel ]; shift 2 ;; *) given+=("$1"); shift ;; esac
           done
           exec /usr/bin/install "${given[@]}""#,
    ),
    (
        "journalctl",
        "there is no systemd: the log of the signer of the world",
        r#"[ "$1" = -u ]; test -e "CHECKOUT/systemd/$2.service"; touch ROOT/run/output
           case "${3:-}" in
           "") cat ROOT/run/output ;;
           -n) tail -n "$4" ROOT/run/output ;;
           --grep) grep -- "$4" ROOT/run/output ;;
           *) exit 64 ;;
           esac"#,
    ),
    (
        "namei",
        "shows owners of this host: only that the path is one",
        r#"[ "$1" = -l ]; case $2 in /*) ;; *) exit 64 ;; esac"#,
    ),
    (
        "postconf",
        "the real one, with the folder of the world",
        r#"exec /usr/sbin/postconf -c ROOT/etc/postfix "$@""#,
    ),
    (
        "postfix",
        "no Postfix runs: only that its settings can be read",
        r#"case "$1" in reload|check|start) /usr/sbin/postconf -c ROOT/etc/postfix -n >/dev/null ;;
           *) exit 64 ;;
           esac"#,
    ),
    (
        "promtool",
        "the one that tests/install-packages unpacks",
        r#"real=CHECKOUT/target/prometheus-root/usr/bin/promtool
           [ -x $real ] || real=/usr/bin/promtool
           exec $real "$@""#,
    ),
    (
        "sendmailconfig",
        "Sendmail is only unpacked: makes the .cf as its real one does",
        r"cd ROOT/etc/mail
           folder=CHECKOUT/target/sendmail-root/usr/share/sendmail/cf
           exec m4 -D_CF_DIR_=$folder/ $folder/m4/cf.m4 sendmail.mc >sendmail.cf",
    ),
    (
        "ssh",
        "the other relay is a folder of this world",
        r#"while [ "${1#-}" != "$1" ]; do case $1 in -l|-p) shift 2 ;; *) shift ;; esac; done
           [ "$1" = relay2 ] || [ "$1" = root@relay2 ]; shift
           export ZEGEL__KEYSTORE__PATH=ROOT/relay2/var/lib/zegel/keys
           exec bash -c "$*""#,
    ),
    (
        "systemctl",
        "there is no systemd: only that the units are ours or those of an MTA",
        r#"case "$1" in enable|disable|start|stop|restart|reload|status) ;; daemon-reload) exit 0 ;;
           *) exit 64 ;; esac
           shift
           for unit; do
               case $unit in --now) continue ;; postfix|sendmail|opendkim|rspamd) continue ;; esac
               case $unit in *.*) ;; *) unit=$unit.service ;; esac
               test -e "CHECKOUT/systemd/$unit"
           done"#,
    ),
    (
        "useradd",
        "makes a user",
        r#"for name; do :; done; [ "${name%-reports}" = zegel ]"#,
    ),
    (
        "usermod",
        "changes a user",
        r#"[ "$1 $2" = "--append --groups" ]"#,
    ),
];

/// Commands that are given only to the eye, by how they begin, and why.
pub(crate) const NOT_RUN: [(&str, &str); 2] = [
    ("tests/run", "is this very test, among all others"),
    ("cargo bench", "takes half an hour"),
];

/// Commands that go on until somebody stops them: they are stopped after three seconds.
pub(crate) const ENDLESS: [&str; 1] = ["zegel top"];
