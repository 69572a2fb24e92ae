#!/bin/sh
# peers.sh -- unpacks server programs that the tests talk to and the running Debian release lacks.
# They come from other Debian releases, by a configuration of apt that lies with them: the machine's
# package sources stay as they are, and nothing is installed. A run that finds all in place takes
# milliseconds. Needs no root.
#   peers.sh NAME...      the names are those of peer() below; each is then in build/peers/NAME/usr
set -u
cd "$(dirname "$0")/.." || exit 1
me=peers
. .ci/progress.sh

peers=$PWD/build/peers
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The release, a program to look for, and the packages.
peer() {
  case $1 in
    consul) echo bullseye consul consul ;;
    etcd34) echo bookworm etcd etcd-server etcd-client ;;
    etcd35) echo trixie etcd etcd-server etcd-client ;;
    # Of this release, but installed they would bring daemons.
    bind) echo bookworm named bind9 bind9-libs ;;
    knot) echo bookworm knotd knot libknot13 libzscanner4 libdnssec9 liburcu8 libxdp1 libbpf1 ;;
    # Programs that the shipped templates are for.
    caddy) echo bookworm caddy caddy ;;
    haproxy) echo bookworm haproxy haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 ;;
    nginx) echo bookworm nginx nginx ;;
    prometheus) echo bookworm promtool prometheus ;;
    pgbouncer) echo bookworm pgbouncer pgbouncer libevent-2.1-7 ;;
    redis) echo bookworm redis-server redis-server redis-tools liblzf1 libjemalloc2 libatomic1 ;;
    dnsmasq) echo bookworm dnsmasq dnsmasq-base libnetfilter-conntrack3 libnftables1 libnfnetlink0 libnftnl11 ;;
    *) say "no such peer: $1"; exit 2 ;;
  esac
}

has() { # FOLDER PROGRAM
  [ -x "$1/usr/bin/$2" ] || [ -x "$1/usr/sbin/$2" ]
}

# Where this machine gets its own release from, in either form that apt reads.
own_mirror() {
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^deb  *\(\[[^]]*\]\)\{0,1\} *\([^ ]*\)  *\([^ ]*\).*/\2 \3/p' |
    awk -v release="$release" '$2 == release { print $1; exit }'
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v RS= -v release="$release" '
    !/(^|\n)Enabled: *no/ && $0 ~ "(^|\n)Suites:[^\n]*[ \t]" release "([ \t\n]|$)" {
      sub(/.*(^|\n)URIs:[ \t]*/, ""); print $1; exit }'
}

# Old releases move to the archive.
mirrors() {
  { own_mirror; printf '%s\n' http://deb.debian.org/debian http://archive.debian.org/debian; } |
    sed 's,/*$,,' | awk '!seen[$0]++'
}

# private_apt FOLDER ARGUMENT... -- apt with sources, lists and cache of its own
private_apt() {
  own=$1
  shift
  "$@" -q -c "$own/apt.conf"
}

configure() { # FOLDER MIRROR RELEASE
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/sources.list.d"
  : >"$1/status"
  echo "deb [signed-by=$keyring] $2 $3 main" >"$1/sources.list"
  cat >"$1/apt.conf" <<CONF
Dir::Etc::sourcelist "$1/sources.list";
Dir::Etc::sourceparts "$1/sources.list.d";
Dir::State "$1";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1/cache";
APT::Sandbox::User "$(id -un)";
APT::Update::Error-Mode "any";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
CONF
}

# Only what the machine's own apt configuration adds after an update would need root.
read_lists() {
  private_apt "$1" apt-get update -o APT::Update::Post-Invoke::= \
    -o APT::Update::Post-Invoke-Success::=
}

fetch_from() { # NAME FOLDER MIRROR RELEASE PACKAGE...
  name=$1 folder=$2 mirror=$3 release=$4
  shift 4
  configure "$folder" "$mirror" "$release"
  with_progress "$name: reading the lists of $release at $mirror" read_lists "$folder" || return 1
  (cd "$folder" && with_progress "$name: downloading $*" private_apt "$folder" apt-get download "$@")
}

unpack() { # FOLDER
  for file in "$1"/*.deb; do dpkg -x "$file" "$1/root" || return 1; done
  for file in "$1"/root/usr/bin/* "$1"/root/usr/sbin/*; do
    missing=$(LD_LIBRARY_PATH=$(echo "$1"/root/usr/lib/*-linux-gnu) ldd "$file" 2>/dev/null |
      awk '/not found/ { print $1 }')
    [ -z "$missing" ] || { say "${file##*/} needs libraries that are missing here:" $missing; return 1; }
  done
}

fetch() { # NAME RELEASE PROGRAM PACKAGE...
  name=$1 release=$2 program=$3
  shift 3
  ! has "$peers/$name" "$program" || return 0
  [ -r $keyring ] || { say "$keyring is missing: install debian-archive-keyring"; return 1; }
  folder=$peers/.$name.$$
  for mirror in $(mirrors); do
    rm -rf "$folder"
    fetch_from "$name" "$folder" "$mirror" "$release" "$@" && unpack "$folder" && break
  done
  if has "$folder/root" "$program"; then
    mv -T "$folder/root" "$peers/$name" 2>/dev/null # fails if another run was faster
    say "$name is in $peers/$name"
  fi
  rm -rf "$folder"
  has "$peers/$name" "$program"
}

failed=0
for wanted; do
  set -- $(peer "$wanted")
  [ $# -gt 0 ] || exit 2
  fetch "$wanted" "$@" && continue
  failed=1
  say "could not get $1's packages of $wanted: its tests will be skipped; try .ci/peers.sh $wanted when the network is back"
done
exit $failed
