#!/bin/bash
# systemd.sh -- a real systemd: the first process of namespaces of its own, on a copy-on-write view
# of this machine's files. Nothing it does reaches the machine. Needs root and cgroup2.
#   systemd.sh run DIR               starts it, writes its process id to DIR/pid once it answers, and
#                                    ends it with all its services at a line of standard input, or
#                                    at its end
#   systemd.sh exec DIR COMMAND...   runs a command in it
set -u
verb=$1 DIR=$2
SELF=$(readlink -f "$0")
BIN=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

inside() {
  nsenter -t "$(cat "$DIR/pid.booting")" -m -u -i -n -p -C -- \
    env -i PATH=$BIN HOME=/root LANG=C.UTF-8 TERM=dumb SYSTEMD_PAGER=cat SYSTEMD_COLORS=0 "$@"
}

# ---- in the new namespaces ----

bind_read_only() { mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; }

make_root() {
  mkdir -p "$DIR/layer" "$root"
  mount -t tmpfs -o mode=755,size=512m layer "$DIR/layer"
  mkdir "$DIR/layer/upper" "$DIR/layer/work"
  mount -t overlay -o "lowerdir=/,upperdir=$DIR/layer/upper,workdir=$DIR/layer/work" root "$root"
}

make_kernel_folders() {
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  for name in sys sysrq-trigger irq bus; do
    [ ! -e "$root/proc/$name" ] || bind_read_only "$root/proc/$name"
  done
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys" 2>/dev/null ||
    mount --rbind -o ro /sys "$root/sys"
  mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
}

make_devices() {
  mount -t tmpfs -o mode=755,nosuid,size=1m devices "$root/dev"
  for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
}

# No unit of this machine, an identity of its own, a journal in memory.
make_configuration() {
  for path in run tmp etc/systemd/system; do mount -t tmpfs -o mode=755 "${path##*/}" "$root/$path"; done
  chmod 1777 "$root/tmp"
  : >"$root/etc/fstab"
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  hostname orrery-spec
  echo orrery-spec >"$root/etc/hostname"
  mkdir -p "$root/run/systemd/journald.conf.d" "$root/run/systemd/system" "$root/etc/tmpfiles.d"
  printf '[Journal]\nStorage=volatile\nAudit=no\n' >"$root/run/systemd/journald.conf.d/spec.conf"
  ln -sf /dev/null "$root/etc/tmpfiles.d/tmp.conf"
}

boot() {
  set -e
  root=$DIR/root
  make_root
  make_kernel_folders
  make_devices
  make_configuration
  cd "$root"
  pivot_root . .
  umount -l .
  exec chroot . setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-sys_boot \
    env -i container=orrery-spec PATH=$BIN LANG=C.UTF-8 \
    /lib/systemd/systemd --system --unit=basic.target --show-status=no
}

# ---- outside ----

# A cgroup for it alone, below ours.
make_cgroup() {
  mounted=$(findmnt -rn -t cgroup2 -o TARGET | head -n 1)
  [ -n "$mounted" ] || { echo "no cgroup2 is mounted" >&2; exit 1; }
  cgroup=$mounted$(sed -n 's/^0:://p' /proc/self/cgroup | sed 's,/$,,')/orrery-spec-$$
  mkdir "$cgroup" || exit 1
}

remove_cgroup() {
  for _ in $(seq 100); do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$cgroup" ] || break
    sleep 0.02
  done
}

# Its first process takes all others with it, and unshare reaps it.
end_all() {
  trap - EXIT
  children=$(cat /proc/$supervisor/task/$supervisor/children 2>/dev/null)
  kill -9 ${children:-$supervisor} 2>/dev/null
  wait $supervisor 2>/dev/null
  remove_cgroup
}

# Waits until a command succeeds; 30 s at most, and only while the manager lives.
until_true() {
  for _ in $(seq 1500); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 $supervisor 2>/dev/null || break
    sleep 0.02
  done
  echo "systemd did not start: '$*' never succeeded; it wrote:" >&2
  cat "$DIR/log" >&2
  exit 1
}

is_booting() {
  child=$(cat /proc/$supervisor/task/$supervisor/children)
  child=${child%% *}
  [ "$(cat "/proc/$child/comm")" = systemd ] && echo "$child" >"$DIR/pid.booting"
}

answers() { inside busctl --system --timeout=5 status org.freedesktop.systemd1; }

run() {
  make_cgroup
  (
    echo 0 >"$cgroup/cgroup.procs" || exit 1
    exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --net --cgroup \
      /bin/bash "$SELF" boot "$DIR" </dev/null >"$DIR/log" 2>&1
  ) &
  supervisor=$!
  trap end_all EXIT
  trap 'exit 1' INT TERM
  until_true is_booting
  until_true answers
  mv "$DIR/pid.booting" "$DIR/pid"
  ln -s pid "$DIR/pid.booting"
  read -r _
}

case $verb in
  run) run ;;
  boot) boot ;;
  exec) shift 2; inside "$@" ;;
esac
