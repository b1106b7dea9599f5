# shellcheck shell=bash
# Mailpit: an SMTP server that keeps what it gets and shows it as a web page and a JSON API. Built by Go from its module.
# Its chaos API (PUT /api/v1/chaos) makes it refuse senders or recipients on demand.

VERSION=v1.27.11

install() { # TO
  GOBIN="$1" go install "github.com/axllent/mailpit@$VERSION" >"$CACHE/$NAME.log" 2>&1 || {
    tail -20 "$CACHE/$NAME.log" >&2
    die "Go could not build Mailpit"
  }
}

launch() {
  background "$HOME_DIR/mailpit" --smtp "127.0.0.1:$(port 1025)" --listen "127.0.0.1:$(port 8025)" \
    --database "$DATA/mail.db" --max "${MAILPIT_MAX:-200000}" --enable-chaos --disable-version-check
}

ready() {
  listening "$(port 8025)" && listening "$(port 1025)"
}

address() {
  echo "smtp://127.0.0.1:$(port 1025), its page http://127.0.0.1:$(port 8025)"
}

ports() {
  port 1025
  port 8025
}
