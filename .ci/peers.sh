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

# The release, a program to look for, and the packages; what else these need comes along.
peer() {
  case $1 in
    consul) echo bullseye consul consul ;;
    etcd34) echo bookworm etcd etcd-server etcd-client ;;
    etcd35) echo trixie etcd etcd-server etcd-client ;;
    # Of this release, but installed they would bring daemons.
    bind) echo bookworm named bind9 ;;
    knot) echo bookworm knotd knot ;;
    # Programs that the shipped templates are for.
    caddy) echo bookworm caddy caddy ;;
    haproxy) echo bookworm haproxy haproxy ;;
    nginx) echo bookworm nginx nginx ;;
    prometheus) echo bookworm promtool prometheus ;;
    pgbouncer) echo bookworm pgbouncer pgbouncer ;;
    redis) echo bookworm redis-server redis-server redis-tools ;;
    dnsmasq) echo bookworm dnsmasq dnsmasq-base ;;
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

# The lists of a release, read once a day: from the first mirror that has them.
lists_of() { # RELEASE
  apt=$peers/.apt/$1
  [ -z "$(find "$apt/read" -mtime -1 2>/dev/null)" ] || return 0
  for mirror in $(mirrors); do
    rm -rf "$apt"
    configure "$apt" "$mirror" "$1"
    with_progress "reading the lists of $1 at $mirror" read_lists "$apt" && touch "$apt/read" && return 0
  done
  return 1
}

# With the packages come the libraries that they need and this machine lacks.
download() { # NAME FOLDER RELEASE PACKAGE...
  name=$1 folder=$2 apt=$peers/.apt/$3
  shift 3
  mkdir -p "$folder/partial"
  with_progress "$name: downloading $*" private_apt "$apt" apt-get install -y --download-only --reinstall \
    --no-install-recommends -o Debug::NoLocking=1 -o Dir::State::status=/var/lib/dpkg/status \
    -o Dir::Cache::archives="$folder" "$@"
}

# The C library of the machine stays: a program cannot have another one than its loader.
unpack() { # FOLDER
  rm -f "$1"/libc6_*.deb "$1"/libc-bin_*.deb "$1"/libgcc-s1_*.deb "$1"/libstdc++6_*.deb
  for file in "$1"/*.deb; do dpkg -x "$file" "$1/root" || return 1; done
  for libraries in "$1"/root/lib/*-linux-gnu; do
    [ ! -d "$libraries" ] || cp -a "$libraries" "$1/root/usr/lib/"
  done
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
  lists_of "$release" && download "$name" "$folder" "$release" "$@" && unpack "$folder"
  if has "$folder/root" "$program"; then
    mv -T "$folder/root" "$peers/$name"
    say "$name is in $peers/$name"
  fi
  rm -rf "$folder"
  has "$peers/$name" "$program"
}

mkdir -p "$peers"
exec 9>"$peers/.lock"
flock 9 # two runs would read and unpack the same
failed=0
for wanted; do
  set -- $(peer "$wanted")
  [ $# -gt 0 ] || exit 2
  fetch "$wanted" "$@" && continue
  failed=1
  say "could not get $1's packages of $wanted: its tests will be skipped; try .ci/peers.sh $wanted when the network is back"
done
exit $failed
