# shellcheck shell=bash
# What the tour is told with; sourced, never run. Everything that is shown is
# also checked: the first surprise ends the tour.
set -euo pipefail

heading() { printf '\n== %s\n' "$*"; }

tell() { printf '%s\n' "$@"; }

client() {
  PGOPTIONS='-c client_min_messages=warning' psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"
}

surprise() {
  printf '\nThe tour ends here. %s\n' "$*" >&2
  exit 1
}

statement() { printf '\n%s\n' "$1" | sed 's/^\(.\)/  \1/'; }

# Shows a statement and what it gives.
sql() {
  statement "$1"
  client --pset border=1 --pset footer=off --pset null='(none)' --command "$1" | sed '/^$/d'
}

# Shows a statement that the database refuses: SQLSTATE, words of the error, statement.
refused() {
  local code=$1 words=$2 error
  statement "$3"
  if error=$(client --set VERBOSITY=verbose --command "$3" 2>&1); then
    surprise "This was to be refused with $code."
  fi
  sed -E '/^(LOCATION|[A-Z]+ NAME): /d' <<<"$error"
  [[ $error == "ERROR:  $code: "*"$words"* ]] || surprise "Expected $code and: $words"
}

# A key fact of the tour: what has to be so, a query, its value.
fact() {
  local value
  value=$(client --tuples-only --no-align --command "$2")
  [ "$value" = "$3" ] || surprise "Not so: $1. Expected '$3', found '$value'."
}
