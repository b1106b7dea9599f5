# shellcheck shell=bash
# Postgres 18, from the binaries that Maven Central has for Linux x86-64. One user `postgres`, without a password,
# reachable from this machine only.

# Sessions are ended; with TERM the server would wait until the last client leaves by itself.
# shellcheck disable=SC2034 # read by lib.sh
STOP_SIGNAL=INT

install() { # TO
  [[ "$(uname -sm)" == "Linux x86_64" ]] || die "Postgres comes for Linux x86-64 here; elsewhere, use infra/compose.yaml"
  maven_jars "$1/jars"
  unpack "$1/jars" "$1"
  rm -rf "$1/jars"
}

unpack() { # JARS TO
  python3 -W ignore - "$@" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

jars, to = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(jars.glob("*.jar"))) as jar:
    packed = jar.read(next(name for name in jar.namelist() if name.endswith(".txz")))
with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as binaries:
    binaries.extractall(to)
PYTHON
}

launch() {
  give_to_server
  local db program
  db="$(place)/db" program="$(place)/program"
  [[ -d "$program" ]] || program="$HOME_DIR"
  if [[ ! -f "$db/PG_VERSION" ]]; then
    # A folder that initdb did not finish is of no use, and initdb would refuse it.
    rm -rf "$db"
    as_server "$program/bin/initdb" -D "$db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
      >"$DATA/initdb.log" 2>&1 || {
      tail -20 "$DATA/initdb.log" >&2
      die "Postgres could not make its folder $db"
    }
  fi
  # No Unix socket: its path may be at most 107 bytes, and a checkout can lie deeper than that.
  # The name of the cluster is what `running` knows the process by, wherever its folder lies.
  as_server background "$program/bin/postgres" -D "$db" -p "$(port 5432)" \
    -c "cluster_name=$DATA/" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300
}

# What Postgres itself says of its state, as pg_ctl reads it: a port that is open is not enough during recovery.
ready() {
  local pid lines
  pid="$(running)" || return 1
  mapfile -t lines 2>/dev/null <"$(place)/db/postmaster.pid" || return 1
  [[ "${lines[0]:-}" == "$pid" && "${lines[7]:-}" == ready* ]]
}

address() {
  echo "postgres://postgres@127.0.0.1:$(port 5432)/postgres"
}

ports() {
  port 5432
}

# Postgres refuses to run as root. Started by root (in a container, mostly) it runs as `nobody`, to whom its data then
# belongs; root makes no account for it.
as_server() { # [background] COMMAND ARG...
  local run=()
  if [[ "$1" == background ]]; then
    run=(background)
    shift
  fi
  [[ "$(id -u)" != 0 ]] || run+=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups)
  (cd / && "${run[@]}" "$@")
}

# Prints where the server's files are: in the data folder, or where that says.
place() {
  cat "$DATA/elsewhere" 2>/dev/null || echo "$DATA"
}

# Lets the server's user have its folder. If the checkout lies where that user can't go, such as in root's home, the
# files go elsewhere, programs too, and the data folder says where.
give_to_server() {
  [[ "$(id -u)" == 0 ]] || return 0
  chown nobody "$DATA"
  if as_server test -x "$HOME_DIR/bin/postgres" -a -x "$DATA"; then
    return 0
  fi
  local elsewhere
  elsewhere="$(place)"
  if [[ ! -d "$elsewhere/program" ]]; then
    elsewhere="$(mktemp -d /var/tmp/order-ledger-postgres.XXXXXX)"
    cp -r "$HOME_DIR" "$elsewhere/program"
    chown nobody "$elsewhere"
    chmod 755 "$elsewhere"
    echo "$elsewhere" >"$DATA/elsewhere"
  fi
}
