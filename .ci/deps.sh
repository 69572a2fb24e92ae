#!/bin/sh
# deps.sh -- installs the Debian packages that are missing, and nothing else. A run that finds
# everything in place takes milliseconds. It lies in .ci because only make calls it.
#   deps.sh GROUP...      groups: build run test bench
set -eu

build="gcc libc6-dev cmake ninja-build pkg-config libuv1-dev libcurl4-openssl-dev libyaml-dev
  libjansson-dev libc-ares-dev libmicrohttpd-dev liblua5.4-dev
  libsystemd-dev libldns-dev libedit-dev"
# npm installs the Node services; the rest compiles their one native module, where npm has no ready one.
run="g++ make python3 ca-certificates curl"
test="tmux lua5.4 python3-yaml lua-busted lua-check python3-jsonschema clang-format mandoc groff-base postgresql systemd dbus bind9-dnsutils luarocks"
bench="lua5.4 python3-jinja2 gettext-base nginx-light prometheus-blackbox-exporter
  supervisor s6"

me=deps
. "$(dirname "$0")/progress.sh"

wanted_packages() {
  for group; do
    case $group in
      build) echo $build ;;
      run) echo $run; command -v npm >/dev/null || echo nodejs npm ;;
      test) echo $test ;;
      bench) echo $bench ;;
      *) say "no such group: $group"; exit 2 ;;
    esac
  done
}

missing_packages() {
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for name; do
    case "
$installed
" in *"
installed $name
"*) ;; *) printf '%s ' "$name" ;; esac
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then env DEBIAN_FRONTEND=noninteractive "$@"
  else sudo env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

may_become_root() {
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null && sudo -v && return 0
  say "these Debian packages are missing: $*"
  say "install them as root, then try again:  apt-get install $*"
  exit 1
}

apt() { as_root apt-get -y -q -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=120 "$@"; }

update_lists() { with_progress "reading the package lists" apt update; }

# libsystemd-dev wants the very version of its library: another would upgrade the machine's systemd.
with_versions() {
  have=$(dpkg-query -W -f '${Version}' libsystemd0 2>/dev/null || true)
  for name; do
    if [ "$name" = libsystemd-dev ] && apt-cache madison "$name" | grep -qF " $have "; then
      name="$name=$have"
    fi
    echo "$name"
  done
}

install_packages() {
  with_progress "installing $# Debian packages" apt install --no-install-recommends $(with_versions "$@")
}

lists_are_fresh() {
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -2 -size +0 2>/dev/null | head -n 1)" ]
}

# The tests and services run PostgreSQL servers of their own; Debian's would only take its port.
keep_postgresql_quiet() {
  conf=/etc/postgresql-common/createcluster.conf
  [ -e $conf ] || as_root sh -c "mkdir -p ${conf%/*} && echo 'create_main_cluster = false' >$conf"
}

# The benches run servers of their own too; Debian starts these with the machine.
keep_peers_quiet() {
  [ -d /run/systemd/system ] || return 0
  for name in nginx prometheus-blackbox-exporter supervisor; do
    case " $* " in *" $name"*) as_root systemctl --quiet disable --now $name || true ;; esac
  done
}

# Services run as this user when root starts them.
make_service_user() {
  [ "$(id -u)" = 0 ] || return 0
  getent passwd atproto >/dev/null && return 0
  useradd --system --user-group --home-dir /var/lib/orrery --no-create-home \
    --shell /usr/sbin/nologin atproto
  say "made the system user atproto, as which the services run"
}

command -v dpkg-query >/dev/null || { say "this is no Debian system: install by hand what README.md lists"; exit 0; }
missing=$(missing_packages $(wanted_packages "$@"))
if [ -n "$missing" ]; then
  may_become_root $missing
  say "installing $missing"
  case " $missing " in *" postgresql "*) keep_postgresql_quiet ;; esac
  lists_are_fresh || update_lists
  install_packages $missing || { update_lists && install_packages $missing; }
  keep_peers_quiet $missing
fi
make_service_user
