# shellcheck shell=bash
# What the scripts in this folder share: where things lie, on which ports, and the life of one server as a process.
# Sourced, never run. A server is a folder with a server.sh that defines
#   install TO       puts its programs into a new, empty folder, which is called $HOME_DIR later
#   launch           starts it with `background`, on the data in $DATA
#   ready            succeeds once it answers
#   address          prints where it answers
#   ports            prints the ports that it listens on
# and may define STOP_SIGNAL.

SERVERS=(kafka postgres elasticsearch mailpit)
LOCAL="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
ROOT="$(cd "$LOCAL/../.." && pwd -P)"
CACHE="${ORDER_LEDGER_CACHE:-$ROOT/.local/cache}"
START_SECONDS_MAX=90
STOP_SECONDS_MAX=30

[[ "$(uname -s)" == Linux ]] || {
  echo "${0##*/}: this works on Linux only; elsewhere use infra/compose.yaml" >&2
  exit 1
}

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# --- where -----------------------------------------------------------------------------------------------------------

# Sets DIR, made absolute, and OFFSET: what is added to every usual port. A folder remembers its offset, so that it
# is said once; without a word, a folder named `test` is 10000 away from the usual ports.
use_dir() { # [DIR]
  local dir="${1:-$ROOT/.local/dev}" offset=0
  [[ -d "$dir" ]] || die "there is no $dir: make it and its servers with infra/local/up $*"
  DIR="$(cd "$dir" && pwd -P)"
  if [[ -f "$DIR/port-offset" ]]; then
    read -r offset <"$DIR/port-offset"
    [[ "${PORT_OFFSET:-$offset}" == "$offset" ]] || die "$DIR runs at PORT_OFFSET=$offset; wipe it to move it"
  else
    [[ "${DIR##*/}" != test ]] || offset=10000
    offset="${PORT_OFFSET:-$offset}"
    [[ "$offset" =~ ^[0-9]+$ ]] || die "PORT_OFFSET is a number, not '$offset'"
    echo "$offset" >"$DIR/port-offset"
  fi
  OFFSET="$offset"
}

# Takes on one server: its functions, and NAME, DATA and HOME_DIR. To take on several, use a subshell for each.
use_server() { # NAME
  [[ " ${SERVERS[*]} " == *" $1 "* ]] || die "no server is called '$1'; there are: ${SERVERS[*]}"
  NAME="$1"
  DATA="$DIR/$NAME"
  STOP_SIGNAL=TERM
  # shellcheck source=/dev/null
  source "$LOCAL/$NAME/server.sh"
  # What is installed follows from these files: a new version or another recipe goes to another folder, and the old one
  # stays whole under a server that still runs from it.
  local recipe
  recipe="$(cd "$LOCAL/$NAME" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)"
  HOME_DIR="$CACHE/$NAME-${recipe:0:12}"
}

port() { # USUAL_PORT
  echo $(($1 + OFFSET))
}

# --- tools -----------------------------------------------------------------------------------------------------------

# What installing takes, for all servers at once: nobody wants to be told one by one.
check_tools() {
  local missing=()
  command -v mvn >/dev/null || missing+=("Maven 3.8 or newer (maven)")
  command -v go >/dev/null || missing+=("Go 1.24 or newer (https://go.dev/dl)")
  command -v python3 >/dev/null || missing+=("Python 3 (python3)")
  (jdk) >/dev/null 2>&1 || missing+=("a JDK 21 or newer (openjdk-21-jdk-headless), or point JAVA_HOME at it")
  ((${#missing[@]} == 0)) || die "something is missing to install the servers. Please install:$(printf '\n  %s' "${missing[@]}")"
}

java_version() { # JDK
  "$1/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.specification\.version = //p'
}

# Prints the folder of a JDK 21 or newer: JAVA_HOME if it is one, else the newest in /usr/lib/jvm, else the one in PATH.
jdk() {
  local dir version best="" best_version=20
  for dir in "${JAVA_HOME:-}" /usr/lib/jvm/* "$(path_jdk)"; do
    [[ -n "$dir" && -x "$dir/bin/javac" ]] || continue
    version="$(java_version "$dir")"
    [[ "$version" =~ ^[0-9]+$ && "$version" -gt "$best_version" ]] || continue
    best="$dir" best_version="$version"
    [[ "$dir" != "${JAVA_HOME:-}" ]] || break
  done
  [[ -n "$best" ]] || die "$NAME needs a JDK 21 or newer: install one (openjdk-21-jdk-headless), or point JAVA_HOME at it"
  echo "$best"
}

path_jdk() {
  local javac
  javac="$(command -v javac)" || return 0
  dirname "$(dirname "$(readlink -f "$javac")")"
}

# Copies the jars that the server's pom.xml names, and all that they need, into a folder.
maven_jars() { # FOLDER
  local java_home log="$CACHE/$NAME.log" plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
  java_home="$(jdk)"
  JAVA_HOME="$java_home" mvn -q -B -f "$LOCAL/$NAME/pom.xml" "$plugin:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$1" >"$log" 2>&1 || {
    tail -20 "$log" >&2
    die "Maven could not collect the jars of $NAME"
  }
}

# --- install ---------------------------------------------------------------------------------------------------------

# Installs the server once for all folders. The place gets its name only when it is complete.
ensure_installed() {
  [[ ! -d "$HOME_DIR" ]] || return 0
  check_tools
  mkdir -p "$CACHE"
  (
    flock 8
    [[ ! -d "$HOME_DIR" ]] || exit 0
    echo "$NAME: installing (once)"
    rm -rf "$HOME_DIR.new"
    mkdir "$HOME_DIR.new"
    install "$HOME_DIR.new"
    mv "$HOME_DIR.new" "$HOME_DIR"
  ) 8>"$CACHE/lock"
}

# --- the process -----------------------------------------------------------------------------------------------------

# Prints the server's process id, or fails if it is not running. The number in the file may be another process by now,
# after a restart of the machine; ours has the data folder in its command line.
running() {
  local pid
  [[ -f "$DATA/pid" ]] && read -r pid <"$DATA/pid" && [[ -n "$pid" ]] || return 1
  grep -qaF -- "$DATA/" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}

listening() { # PORT
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints the status of an HTTP answer, such as 200. Done by the shell, so that a check needs no tool of its own.
http_status() { # PORT PATH
  local status
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  } 2>/dev/null
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
  read -r -t 20 _ status _ <&3 || return 1
  echo "$status"
}

# Runs a command as a process of its own that outlives the shell, and notes its id.
background() { # COMMAND ARG...
  nohup setsid "$@" >>"$DATA/output.log" 2>&1 </dev/null 9>&- &
  echo $! >"$DATA/pid"
  # For a moment it is still a copy of this shell, which `running` would take for a stranger.
  until running >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
}

# Starts the server unless it is running. Does not wait until it answers.
start() {
  mkdir -p "$DATA"
  (
    flock 9
    if running >/dev/null; then
      echo "$NAME: already running"
      exit 0
    fi
    ensure_installed
    await_remains
    for number in $(ports); do
      ! listening "$number" || die "$NAME can't start: port $number is taken by something else"
    done
    launch
  ) 9>"$DATA/lock"
}

# A server that was killed a moment ago may not be quite gone: what it held is free when its process is.
await_remains() {
  local pid
  if [[ -f "$DATA/pid" ]] && read -r pid <"$DATA/pid" && grep -qs '^State:.Z' "/proc/$pid/status"; then
    await_gone "$pid"
  fi
}

# Waits until the processes are collected; not for ever, for in some containers nobody does that.
await_gone() { # PID...
  local pid end=$((SECONDS + 10))
  for pid in "$@"; do
    while [[ -d "/proc/$pid" ]] && ((SECONDS < end)); do sleep 0.05; done
  done
}

await_ready() {
  local end=$((SECONDS + START_SECONDS_MAX))
  until ready; do
    # Twice: while a process turns into another program, it has no command line for a moment.
    if ! running >/dev/null && sleep 0.3 && ! running >/dev/null; then
      tail -20 "$DATA/output.log" >&2
      die "$NAME ended while starting; its output is in $DATA/output.log"
    fi
    ((SECONDS < end)) || die "$NAME does not answer after $START_SECONDS_MAX s; its output is in $DATA/output.log"
    sleep 0.2
  done
  echo "$NAME: $(address)"
}

# Asks the server to stop, and takes it down if it does not.
stop() {
  local pid end=$((SECONDS + STOP_SECONDS_MAX))
  pid="$(running)" || {
    echo "$NAME: not running"
    return 0
  }
  kill "-$STOP_SIGNAL" "$pid" 2>/dev/null || true
  while running >/dev/null; do
    ((SECONDS < end)) || {
      echo "$NAME: did not stop within $STOP_SECONDS_MAX s" >&2
      hard_kill
      return 0
    }
    sleep 0.1
  done
  await_gone "$pid"
  echo "$NAME: stopped"
}

# Ends the server and its children with no chance to tidy up, as if the power had failed.
hard_kill() {
  local pid pids
  pid="$(running)" || {
    echo "$NAME: not running"
    return 0
  }
  read -r -a pids <<<"$pid $(cat "/proc/$pid/task/"*/children 2>/dev/null || true)"
  kill -KILL "${pids[@]}" 2>/dev/null || true
  await_gone "${pids[@]}"
  echo "$NAME: killed"
}

# Says whether the server runs and answers; fails if not.
status() {
  local pid
  if ! pid="$(running)"; then
    echo "$NAME: not running"
    return 1
  elif ! ready; then
    echo "$NAME: process $pid runs but does not answer; its output is in $DATA/output.log"
    return 1
  fi
  echo "$NAME: process $pid, $(address)"
}
